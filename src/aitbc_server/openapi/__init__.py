"""The OpenAPI description, made from what the routes declare and from the very types that read and write them."""
