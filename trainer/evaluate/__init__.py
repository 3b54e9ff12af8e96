"""`python -m trainer.evaluate`: metrics of a trained model on a split, and their reports."""
