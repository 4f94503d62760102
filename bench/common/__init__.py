"""What every measurement shares: pinning, servers, the load generator, rounds, results, tables."""
