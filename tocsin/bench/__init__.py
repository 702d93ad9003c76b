"""Speed, memory and cold starts, measured beside others in one run."""
