"""From view sets to the steering table: how far the instruction decides what an embedding tells."""
