"""Mails to people: an outbox in the database, and who empties it."""
