"""Running the server: its folder, its socket, its start and its stop."""
