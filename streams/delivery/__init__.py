"""Delivery: the process that reads alerts and tells people. One is active at a time, over all partitions."""
