"""Moving a whole installation: everything in one file, and back, between SQLite and PostgreSQL."""
