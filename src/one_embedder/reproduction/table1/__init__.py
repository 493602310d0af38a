"""Table 1: made, judged against the recorded one, put beside the published ones."""
