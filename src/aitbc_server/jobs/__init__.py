"""Jobs: submitted by clients, run by miners."""
