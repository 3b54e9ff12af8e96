"""The floor that answers which category a photo belongs to.

In production the server is the official TensorFlow Serving image with the files in `tf_serving/`.
`model_server` stands in for it on a laptop and in tests: same paths, protos and status codes.

| module | owns |
|---|---|
| `model_server` | the door: flags of the server |
| `server_options` | where the model is, where to listen, checked |
| `server` | both ports in one process, from ready to a clean stop |
| `rest` | TensorFlow Serving's HTTP paths |
| `rest_request`, `rest_response` | its JSON: to tensors, from tensors |
| `grpc_service` | PredictionService, ModelService and health |
| `model_info` | status and metadata, as both transports tell them |
| `model_versions` | which version is loaded, and who still uses it |
| `warmup` | the requests that a version ships to be warmed up with |
| `saved_model` | one loaded version: numpy in, numpy out |
| `status` | the status codes that both transports share |
| `tensors` | numpy to TensorProto and back, of any message class |
| `protos` | the messages of a client, without TensorFlow |
| `grpc_client`, `rest_client` | one question asked over one transport |
| `answers` | the question and the answer, the same for both transports |
| `query` | the door: asks and prints |

The client modules (the last six) import neither TensorFlow nor
tensorflow_serving, whose modules import all of TensorFlow.
"""
