"""Apache Beam jobs: a dump to class-balanced TFRecord shards, and predictions of every product.

A room imports only the rooms above it, and `catalog`.

| room | owns |
|---|---|
| `options` | the options that change the result |
| `table`, `packing` | the columns that move through Beam, and their bytes |
| `ledger` | where every document and picture ends up |
| `dataflow` | what Dataflow needs, and following its jobs |
| `local` | running a pipeline: runner, and on this machine memory and progress |
| `near_duplicates` | visual hashes, and which of them are near |
| `scan` | a range of the source: rows, rejected pieces, and the proof that ranges meet |
| `plan` | split, copies, shard and order of every picture |
| `write` | shard files, the files about rejected pieces, the commit |
| `pipeline` | the Beam steps and their order |
| `summary` | the printed summary |
| `shard` | the command line of the shard job |
| `template` | the flags as the parameters of a flex template |
| `inference` | loaded models; the only room that loads TensorFlow, in workers of `predict` |
| `predict` | `python -m beam_pipelines.predict`: predictions of every product |
"""
