"""`python -m trainer.export`: a trained model as a SavedModel, and exported models loaded again."""
