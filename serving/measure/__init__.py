"""`python -m serving.measure`: size, load time, speed, memory and accuracy of models."""
