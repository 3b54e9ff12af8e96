"""Downloads the files of Kaggle's Cdiscount competition, checked, and loads them into MongoDB.

| module | owns |
|---|---|
| `files` | the names of the files and their SHA-256 |
| `kaggle` | where Kaggle has a file; missing credentials and rules in one line |
| `transfer` | a file from a URL that ends: resumed by range, unzipped, checked |
| `collection` | the documents of a BSON file into a MongoDB collection |
"""
