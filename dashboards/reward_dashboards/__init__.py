"""Places to look: reports of runs."""
