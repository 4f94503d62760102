"""Miners: registered, kept alive by heartbeats, given jobs."""
