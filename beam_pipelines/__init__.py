"""From a raw dump to class-balanced TFRecord shards, by Apache Beam. Knows no TensorFlow.

| module | owns the question |
|---|---|
| `shard` | the door: flags to options to one call |
| `options` | what changes the result |
| `job` | which step follows which in Beam |
| `steps` | what goes into each step and what comes out |
| `proven_scans` | the scans of a whole source, each document in exactly one |
| `grouping` | how all rows of a product, a content or a class come together |
| `runner` | with which runner, and what an error of a worker says |
| `memory` | how a run's processes take memory, and use what is freed again |
| `dask_bundles` | what Beam's DaskRunner must be mended of |
| `sources` | how a dump is split, scanned and read |
| `pictures` | is this picture's bytes usable, and what is their hash |
| `jpeg_heads` | the headers of many JPEG at once, of the usual form |
| `blank` | does a picture show anything |
| `scan` | what one range of the source gives: rows, rejected pieces, counts |
| `table` | the columns that move |
| `packing` | rows as the bytes they travel in |
| `seams` | is every byte of the source in exactly one document |
| `resolve` | which products and pictures come again |
| `plan` | split, copies, shard, place |
| `assign` | applies the plan to a class's rows |
| `gather` | one shard: rows to records |
| `shard_file` | records to a file: framing, compression, digest |
| `ledger` | where every document and picture went |
| `rejected` | the files that keep what could not be used, and list what is blank |
| `commit` | staging, final names, the manifest |
| `meter` | how far a run on this machine is |
| `metrics` | what a run counts for Beam's page of it |
| `summary` | what a run made, in a few lines for people |
"""
