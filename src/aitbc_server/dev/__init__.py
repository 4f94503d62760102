"""What ``aitbc dev`` adds to a server: a tenant, keys, a miner, and words on how to use them."""
