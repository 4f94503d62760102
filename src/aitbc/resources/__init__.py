"""The groups of calls of a client, a file each. Thin: each method says what it calls and what comes back.

Every method may raise the errors of every call: APIConnectionError and APITimeoutError where no answer
comes, AuthenticationError for a wrong key, PermissionDeniedError for a key without the scope, RateLimitError
beyond the limit, ServerError. A docstring names those that are its method's own.
"""
