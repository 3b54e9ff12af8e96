"""The update of the weights: optimizer, parameter groups, learning rate by step, EMA."""
