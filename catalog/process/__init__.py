"""What a process does for itself: allocator, startup messages, progress line, folder locks."""
