"""`python -m trainer.tau_norm`: a last layer whose classes have weights of similar norm."""
