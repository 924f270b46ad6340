"""The benchmarks: every number that the project promises, measured, each in a file of its own."""
