"""The dashboard: what its pages share, their templates and their static files."""
