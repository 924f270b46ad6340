"""The index of vectors in this process; shared indexes are in `stores`."""
