"""Writes what is around a converted network: names, signatures, warm-up requests."""

import shutil
from pathlib import Path

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import get_model_metadata_pb2

from catalog import categories, storage
from catalog.networks import spec
from catalog.networks.network import Precision, RuntimeName
from catalog.networks.spec import NetworkSpec
from serving.convert.source import Source, count_flops
from serving.runtimes import warmup
from serving.runtimes.converted_model import SIGNATURES_FILE


def write(source: Source, folder: Path, *, runtime: RuntimeName, precision: Precision) -> None:
    """Writes all that a version folder has but its network, model card and digests."""
    outputs = source.card['signatures']['serving_default']['outputs']
    top_k = int(outputs['label'].rpartition(',')[2].strip(' ]'))
    spec.write(
        NetworkSpec(
            runtime=runtime,
            precision=precision,
            height=source.height,
            width=source.width,
            top_k=top_k,
            level_threshold=source.card['level_threshold'],
            flops=count_flops(source),
        ),
        str(folder),
    )
    (folder / SIGNATURES_FILE).write_bytes(_signatures(source.folder))
    for name in (f'assets/{categories.FILE_NAME}', warmup.FILE):
        (folder / name).parent.mkdir()
        shutil.copyfile(Path(source.folder, name), folder / name)


def _signatures(folder: str) -> bytes:
    """Returns the SignatureDefMap of a SavedModel's own signatures."""
    content = storage.read_bytes(storage.join(folder, tf.saved_model.SAVED_MODEL_FILENAME_PB))
    graph = saved_model_pb2.SavedModel.FromString(content).meta_graphs[0]
    found = get_model_metadata_pb2.SignatureDefMap()
    for name, signature in graph.signature_def.items():
        if not name.startswith('__'):  # TensorFlow's own, of its initializers
            found.signature_def[name].CopyFrom(signature)
    return found.SerializeToString(deterministic=True)
