"""The messages, compared with TensorFlow Serving's own."""

from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2, predict_pb2

from serving.protocol import messages


@pytest.mark.parametrize(
    ('ours', 'official'),
    [
        (messages.PredictRequest, predict_pb2.PredictRequest),
        (messages.PredictResponse, predict_pb2.PredictResponse),
        (messages.GetModelStatusRequest, get_model_status_pb2.GetModelStatusRequest),
        (messages.GetModelStatusResponse, get_model_status_pb2.GetModelStatusResponse),
        (messages.GetModelMetadataRequest, get_model_metadata_pb2.GetModelMetadataRequest),
        (messages.GetModelMetadataResponse, get_model_metadata_pb2.GetModelMetadataResponse),
        (messages.SignatureDefMap, get_model_metadata_pb2.SignatureDefMap),
    ],
)
def test_every_field_equals_the_official_one(ours: Any, official: Any) -> None:
    pairs, seen = [(ours.DESCRIPTOR, official.DESCRIPTOR)], set()
    while pairs:
        mine, theirs = pairs.pop()
        if mine.full_name in seen:
            continue
        seen.add(mine.full_name)
        assert mine.full_name == theirs.full_name
        for field in mine.fields:
            other = theirs.fields_by_name[field.name]
            assert field.number == other.number
            assert field.is_repeated == other.is_repeated
            wire = FieldDescriptor.TYPE_INT32 if other.enum_type else other.type
            assert field.type == wire
            if field.message_type:
                pairs.append((field.message_type, other.message_type))
    assert len(seen) >= 3
