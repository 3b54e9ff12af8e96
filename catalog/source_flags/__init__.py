"""The flags of every command that reads a source of products."""
