"""Names and limits that the server and its clients agree on."""

MODEL_NAME = 'product_categories'  # as in tf_serving/models.config

# Signatures of the exported model, their inputs and outputs: docs/formats.md.
DEFAULT_SIGNATURE = 'serving_default'
PRODUCT_SIGNATURE = 'product'
EMBEDDING_SIGNATURE = 'embedding'
PIXELS_SIGNATURE = 'pixels'
IMAGE_BYTES = 'image_bytes'  # string [N]
PRODUCT = 'product'  # int64 [N], the product that each image shows
IMAGES = 'images'  # uint8 [N, H, W, 3]
EMBEDDING = 'embedding'  # output, float32 [N, d]
FLOAT32_OUTPUTS = ('confidence', EMBEDDING)  # JSON has no types

# TensorFlow Serving's own default ports.
GRPC_PORT = 8500
REST_PORT = 8501

MAX_MESSAGE_BYTES = (1 << 31) - 1  # 2 GiB: the largest int32, and protobuf's limit
GRPC_OPTIONS = [  # gRPC's own limit for a received message is 4 MiB
    ('grpc.max_receive_message_length', MAX_MESSAGE_BYTES),
    ('grpc.max_send_message_length', MAX_MESSAGE_BYTES),
]
