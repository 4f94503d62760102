"""The systems under test, a file for each."""
