"""What an epoch reads, in which order, and where that order resumes. Knows no data set."""
