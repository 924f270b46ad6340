"""Real engines that fail: slowly, halfway, at every await."""
