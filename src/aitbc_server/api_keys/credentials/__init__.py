"""What makes a credential of a key and tells it from a guess: secrets and the digests that stand for them."""
