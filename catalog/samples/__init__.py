"""Sample data sets in the layout of Kaggle's Cdiscount challenge: `python -m catalog.samples`.

| module | owns |
|---|---|
| `dump` | the layout: documents, file names, what is refused, what is reported |
| `long_tail` | how many: class sizes, pictures a product |
| `fashion` | real photos (Fashion-MNIST) as a dump |
| `fashion_photos` | where those photos are found, and that they are the right ones |
| `kaggle_like` | synthetic pictures as a dump of any size, written by several processes |
| `kaggle_plan` | which product shows what: labels, wrong labels, repeated pictures |
| `french_tree` | a synthetic category tree |
| `drawing` | synthetic product pictures |
"""
