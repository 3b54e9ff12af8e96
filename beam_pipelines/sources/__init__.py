"""Where products come from. Each source splits, scans and fetches; nothing else knows its form."""
