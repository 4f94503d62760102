"""People: their accounts, sign-ins and what their role in a tenant allows."""
