"""A file of one's own pairs -> training data, and a benchmark of the queries that are held back from it.

``pairs`` reads the file, ``held_back`` divides it, ``build`` mines what has no negatives and writes both parts.
"""
