"""From the scores of runs to intervals and claims."""
