"""The systems that we are compared with: each installed into a cache on first use, and started by the bench itself."""
