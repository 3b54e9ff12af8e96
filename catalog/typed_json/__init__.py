"""Reads JSON documents and checks their types; an error names the key, the rule and the value."""
