"""A data set and what a run reads of it: a checked folder of shards, batches, pixels."""
