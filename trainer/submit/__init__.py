"""Submits trainings to Vertex AI, or prints them for Kubernetes: `python -m trainer.submit`.

| module | owns |
|---|---|
| `machines` | the machines by name, and the devices of each |
| `training_job` | what is trained on which machines, and the config that follows from them |
| `vertex_job` | the typed job of Vertex AI |
| `vertex_study` | the typed search of a hyperparameter tuning job |
| `vertex_client` | requests to Vertex AI |
| `vertex_logs` | the logs of a job |
| `follow` | state and logs of a job until it ends |
| `results` | how a job ended, and the trials of a search |
| `jobset` | the JobSet of Kubernetes |

The training process itself is `trainer.task`; what it reads from its environment is in
`trainer.distribution.cluster` and `trainer.vertex_environment`.
"""
