"""API keys: made, listed, changed, regenerated, revoked."""
