"""The training loop: building a run, its steps, validation, logging and resuming."""
