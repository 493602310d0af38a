"""What an instruction says: the unified template, its levels of detail, and tables of instructions."""
