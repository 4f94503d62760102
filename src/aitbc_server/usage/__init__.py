"""Usage: counted per decision, read per minute, hour or day."""
