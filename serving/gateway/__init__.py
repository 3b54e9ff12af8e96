"""Owns `python -m serving.gateway`: one HTTP API for people and programs, before a model's server.

| module | owns |
|---|---|
| `photos` | uploaded files, as pictures that the model takes |
| `responses` | the fields of responses, with examples |
| `classifier` | one call of the model, counted: from photos to categories |
| `routing` | what the paths share |
| `predictions`, `similar_products`, `operations` | the paths |
| `app` | the application |
| `process` | the server process and its end |
"""
