"""`python -m serving.convert`: an exported model for OpenVINO, ONNX Runtime or LiteRT."""
