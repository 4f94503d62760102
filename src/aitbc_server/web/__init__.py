"""The framework side of HTTP: how routes declare themselves, bodies and queries are read, errors are answered."""
