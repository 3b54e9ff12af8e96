"""Serves the exported model, and sends requests to a server.

In production the server is the official TensorFlow Serving image with the files in `tf_serving/`.
`model_server` replaces it on a laptop and in tests: same paths, protos and status codes.

| floor | room | owns | may import |
|---|---|---|---|
| 1 | `protocol/` | messages, tensors, JSON values, status codes, names and limits | - |
| 1 | `similar/` | the index of product embeddings: its files, search and reload | - |
| 1 | `listening/` | how an HTTP server listens: address, port, connections | - |
| 2 | `operations/` | what a client asks, in each protocol; its exception | protocol |
| 3 | `transports/` | connections of clients: deadlines, retries, TLS | operations, protocol |
| 4 | `clients/` | the clients, sync and async, and predictions | transports and below |
| 2 | `rest_json/` | JSON bodies of the REST API to arrays and back | protocol |
| 1 | `shard_pictures/` | labelled pictures of a data set | - |
| 2 | `runtimes/` | a loaded model: numpy in, numpy out | protocol |
| 3 | `convert/` | `python -m serving.convert` | runtimes, shard_pictures |
| 4 | `measure/` | `python -m serving.measure` | convert and below |
| 2 | `config/` | TensorFlow Serving's config files, as checked values | - |
| 2 | `monitoring/` | metrics and their Prometheus text | protocol |
| 3 | `index/` | `python -m serving.index` | protocol, runtimes, similar |
| 3 | `batching/` | the queue before a model: admission, batches | config, monitoring and below |
| 4 | `models/` | the models in memory: versions, policies, labels | batching and below |
| 5 | `rest/` | the REST API: paths, bodies | listening, models, rest_json and below |
| 6 | `server/` | gRPC, and the server process | rest and below |
| 7 | `model_server/` | `python -m serving.model_server` | config, protocol, server |
| 5 | `query/` | `python -m serving.query` | clients, protocol |
| 5 | `backends/` | the gateway's connection to a model's server | clients and below |
| 2 | `observation/` | metrics, class mix and logs of the gateway | - |
| 3 | `intake/` | what a request to the gateway must pass: keys, limits | observation, operations |
| 6 | `gateway/` | `python -m serving.gateway` | backends, intake, listening, similar and below |
| 7 | `web/` | `python -m serving.web`, the page for people | listening |
| 7 | `demo/` | `python -m serving.demo`: all on one machine | listening, similar |

The rooms of clients, `query`, `similar`, `web`, `demo` and those of the gateway import neither
TensorFlow nor tensorflow_serving, whose modules import all of TensorFlow. `tf_serving/` and
`ask.sh` hold no Python.
"""
