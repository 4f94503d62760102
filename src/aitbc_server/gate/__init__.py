"""The gate: a request's credential in, a decision out. Knows no web framework but ASGI and no ORM."""
