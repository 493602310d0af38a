"""Rows on disk to the batches of a training step."""
