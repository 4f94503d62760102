"""Ways to limit requests over many nodes and regions, compared on the same arrivals: see ``bench.simulate``."""
