"""The folder of a run: its config, what it remembers of its data, its checkpoints."""
