"""What sharding, training and serving share. Imports neither Beam nor TensorFlow.

| module or room | owns |
|---|---|
| `errors` | the exception for a user's mistake |
| `command_line` | flags, one-line errors and exit codes of every command |
| `terminal` | escaping text from outside for output |
| `storage` | local paths and objects: reads, range reads, atomic writes |
| `object_store` | objects of every store, `gs://`, `s3://`, `az://` |
| `stores/` | the client of each store, its retries and its errors |
| `local_copies/` | local copies of objects, for libraries that need files |
| `atomic_folder` | folders that are published by a rename |
| `digests/` | `digests.json` of a model folder: written, signed, verified |
| `categories` | the category tree and its dense labels |
| `trees/` | the files of category trees, in their forms |
| `record` | the fields of a record and its bytes |
| `product_key` | ids that are not integers: their text and their number |
| `pixels` | what the pixels of a picture are; conversion to JPEG |
| `shards` | shard file names |
| `shard_reader/` | reading the records of shards |
| `manifest` | `manifest.json`, which makes a folder a data set |
| `sources/` | reading products from BSON files, MongoDB and photo files |
| `source_flags/` | the flags of commands that read a source |
| `inputs/` | opening inputs whose products are to be predicted, and their parts |
| `predictions/` | predictions of products: from their pictures to the rows of a file |
| `model_folders/` | version folders of exported models |
| `networks/` | converted networks: images in, probabilities out |
| `listings/` | the products, photos, ids and categories in folders and lists |
| `schema/` | what a shop's fields are called; products of BSON documents |
| `photos/` | reading folders, lists and photos from outside, within limits |
| `formats/` | byte formats: BSON documents, image headers, EXIF, tf.Example, TFRecord |
| `process/` | memory allocator, startup messages, progress line |
| `download/` | `python -m catalog.download`: Kaggle's files, checked |
| `samples/` | sample data sets, real and synthetic |
"""
