"""What a process does for itself: its allocator, its startup messages and its progress line."""
