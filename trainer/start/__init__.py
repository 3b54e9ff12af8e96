"""Where a run starts: the weights of another run, for the categories of this one."""
