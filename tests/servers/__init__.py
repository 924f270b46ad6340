"""Real servers for tests and benchmarks: started on free ports, killed with the process."""
