"""The audit log: one chained row for every change."""
