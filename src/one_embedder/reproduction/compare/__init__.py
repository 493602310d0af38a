"""Evaluations side by side, and the harness against published scores."""
