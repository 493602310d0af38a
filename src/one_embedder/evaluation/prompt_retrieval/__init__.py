"""Prompt retrieval: similar demonstrations, an in-context learner, ROUGE-L."""
