"""The ground floor: what sharding, training and serving share. Knows no Beam, no TensorFlow.

| module | owns |
|---|---|
| `errors` | the one exception that means "the user can mend this" |
| `door` | command lines: flags, one-line errors, exit codes |
| `allocator` | memory that is freed, used again |
| `quiet` | a library's start without its notes |
| `progress` | a line with the share done and the time left |
| `storage` | local and `gs://` paths: whole reads, range reads, atomic writes |
| `document` | one BSON document: bytes to product |
| `picture` | what a picture's header says, without decoding it |
| `categories` | the category tree and the dense labels |
| `record` | the fields of a record and its bytes |
| `tfrecord` | record framing: lengths and checksums |
| `shards` | shard file names |
| `manifest` | the file that makes a folder a data set |
| `samples` | sample data sets, real and synthetic |
"""
