"""The composition root: configuration, command line, embedded Kafka and the wiring of the other packages."""
