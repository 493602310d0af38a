"""Candidates to training rows: positives and hard negatives, without what stands in a benchmark."""
