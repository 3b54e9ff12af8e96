"""Owns the models that a server has in memory: which versions, their states, loading, unloading.

| module | owns |
|---|---|
| `spec` | the model of a request; the state of a version |
| `folders` | the version folders of a base path |
| `loading` | one version: verified, loaded, warmed up |
| `versions` | the versions of one model |
| `roots` | where clients may take models from |
| `models` | all models, labels, and changes of the config |

Knows no HTTP and no gRPC.
"""
