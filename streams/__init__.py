"""Events in and out: schemas, codecs, topics, the Faust app, micro-batches, checkpoints and replay."""
