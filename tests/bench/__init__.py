"""`make bench`: each figure a ratio of two things measured in one run, since machines differ and are noisy."""
