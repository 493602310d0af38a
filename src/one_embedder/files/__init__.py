"""Disk and hub: rows, places, hashes, downloads, progress."""
