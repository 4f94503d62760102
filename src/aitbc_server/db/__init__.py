"""The database: one set of models and repositories for SQLite and PostgreSQL."""
