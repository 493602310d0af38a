"""Text and instruction to embedding."""
