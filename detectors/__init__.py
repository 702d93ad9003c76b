"""Online models: detectors, calibration, explanation and their registry; no Kafka, no clock, no I/O."""
