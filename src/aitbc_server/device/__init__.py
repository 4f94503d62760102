"""Signing in from a command line (RFC 8628): a person approves in the browser, and the device collects its key."""
