"""`python -m trainer.predict`: a row of predicted categories for each product of a BSON dump."""
