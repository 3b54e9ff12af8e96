"""`python -m trainer.summary`: one page about a run, from its data set to a server's responses."""
