"""What others would write: loops and agents that score telemetry with a forest of River for each source.

Each is a program of its own, started with the brokers, the topics' prefix and the consumer group. None validates,
keeps state, calibrates or explains.
"""
