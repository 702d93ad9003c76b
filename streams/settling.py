"""From when on what people say counts for events."""

SETTLING = 2.0
"""Seconds by which the clocks of those who produce to different topics may differ, without a replay deciding anew.

What people say (a policy, a command) counts for what was produced so much later. The times are those of Kafka's
records, so it makes no difference when a worker reads it.
"""
