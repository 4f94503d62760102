"""The AITBC server: the gate in front of every call, the key lifecycle, jobs, miners, usage and audit."""
