"""The configuration: one typed tree from one file, with environment variables over it."""
