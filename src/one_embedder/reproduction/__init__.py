"""Results -> Table 1: obtained, expected, verdict, intervals, claims, and an exit code that a script can use."""
