"""What an operator's monitoring reads, on an address of its own: numbers of this process, never whose they are."""
