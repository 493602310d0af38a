"""MEDI as others hand it out: the released JSON list, JSON lines, parquet, and the copies of it on the hub.

``build.py`` is where reading begins.
"""
