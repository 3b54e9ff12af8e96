"""What is fast, and shown: each module measures beside the alternative and prints the ratio."""
