"""MEDI, the training data: rows of (instruction, text) triples, each belonging to a task."""
