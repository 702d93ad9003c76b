"""Online forecasts of single values, with bounds that keep what they promise, and the time to a limit."""
