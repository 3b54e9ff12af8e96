"""What trained runs predict: one forward path for a run, several runs as an ensemble."""
