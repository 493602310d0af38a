"""The tasks of a benchmark: folders on disk and mteb's registry."""
