"""`python -m trainer.features`: a feature cache, on which the head trains alone."""
