"""Public benchmarks of detection, each with its own metric."""
