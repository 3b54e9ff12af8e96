"""Usual ways to turn a dump into TFRecords, one function each.

python -m benchmarks.shard_alternatives loop|beam|tfds INPUT.bson OUTPUT_DIR
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def loop(source: str, output: str) -> None:
    """Runs one process with pymongo's reader, TensorFlow's Example and writer, and one file."""
    import bson
    import tensorflow as tf

    with Path(source).open('rb') as file, tf.io.TFRecordWriter(f'{output}/all.tfrecord') as writer:
        for fields in bson.decode_file_iter(file):
            writer.write(serialize(fields))


def beam(source: str, output: str) -> None:
    """Runs the usual Beam pipeline: read, Map to tf.Example, Reshuffle, WriteToTFRecord."""
    import apache_beam as beam

    with beam.Pipeline(runner='FnApiRunner') as pipeline:
        _ = (
            pipeline
            | beam.Create([source])
            | beam.FlatMap(read)
            | beam.Map(serialize)
            | beam.Reshuffle()
            | beam.io.WriteToTFRecord(f'{output}/all', file_name_suffix='.tfrecord', num_shards=4)
        )


def tfds(source: str, output: str) -> None:
    """Runs the Beam writer of TensorFlow Datasets."""
    import apache_beam as beam
    import numpy as np
    import tensorflow_datasets as tfds_library

    class Products(tfds_library.core.GeneratorBasedBuilder):
        """The dump as a TFDS data set."""

        VERSION = tfds_library.core.Version('1.0.0')

        def _info(self) -> Any:
            features = tfds_library.features.FeaturesDict(
                {
                    # TFDS calls bytes that it stores unchanged Text.
                    'pictures': tfds_library.features.Sequence(tfds_library.features.Text()),
                    'category_id': tfds_library.features.Scalar(dtype=np.int64),
                    'product_id': tfds_library.features.Scalar(dtype=np.int64),
                }
            )
            return tfds_library.core.DatasetInfo(builder=self, features=features)

        def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
            del dl_manager
            return {'train': self._generate_examples()}

        def _generate_examples(self) -> Any:
            return beam.Create([source]) | beam.FlatMap(read) | beam.Map(keyed)

    options = beam.options.pipeline_options.PipelineOptions(['--runner=FnApiRunner'])
    builder = Products(data_dir=output)
    builder.download_and_prepare(
        download_config=tfds_library.download.DownloadConfig(beam_options=options)
    )


def read(source: str) -> Iterator[dict[str, Any]]:
    """Yields the documents of a dump."""
    import bson

    with Path(source).open('rb') as file:
        yield from bson.decode_file_iter(file)


def keyed(fields: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """Returns a document in the form of a TFDS example."""
    pictures = [image['picture'] for image in fields['imgs']]
    made = {
        'pictures': pictures,
        'category_id': fields['category_id'],
        'product_id': fields['_id'],
    }
    return fields['_id'], made


def serialize(fields: dict[str, Any]) -> bytes:
    """Returns a document as a serialized tf.Example."""
    import tensorflow as tf

    def numbers(value: int) -> Any:
        return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))

    pictures = [image['picture'] for image in fields['imgs']]
    feature = {
        'image/encoded': tf.train.Feature(bytes_list=tf.train.BytesList(value=pictures)),
        'category/id': numbers(fields['category_id']),
        'product/id': numbers(fields['_id']),
    }
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()


if __name__ == '__main__':
    {'loop': loop, 'beam': beam, 'tfds': tfds}[sys.argv[1]](*sys.argv[2:])
