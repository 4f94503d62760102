"""The version, as a constant: reading the package's metadata would cost every start of the CLI its time."""

__version__ = "0.1.0"
