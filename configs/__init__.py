"""Recipes, values only: one file per run, with its command line in the docstring."""
