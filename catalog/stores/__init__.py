"""The stores behind `object_store`: Google's by its own client, Amazon's and Azure's by obstore.

Both modules have the same functions, take the path of an object, and raise a store's errors as
`OSError` with the store's own sentence and the path.

| module | owns |
|---|---|
| `names` | schemes; the parts of an object's path |
| `limits` | how long and how often requests are retried |
| `sentences` | a service's message in one printable line |
| `google_credentials` | where Google's credentials are, or that there are none |
| `google` | `gs://` by google-cloud-storage |
| `amazon_azure` | `s3://` and `az://` by obstore |
"""
