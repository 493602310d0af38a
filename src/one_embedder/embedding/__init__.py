"""Texts at any scale to embeddings: the public API."""
