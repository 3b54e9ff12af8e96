"""Sample data sets in the layout of Kaggle's Cdiscount challenge: real and synthetic pictures."""
