"""Reads the files of category trees: CSV files, and Google's product taxonomy."""
