"""Ablations: planned, run child by child, tabulated."""
