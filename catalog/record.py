"""The record: its fields and its bytes, a serialized `tf.Example` made without TensorFlow.

`catalog.formats.tf_example` encodes. Message classes from a private descriptor pool decode, so that
they coexist with TensorFlow's own in one process. Equal records have equal bytes.
"""

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from catalog.formats import tf_example

ENCODED = 'image/encoded'  # bytes [views]: the encoded pictures, in source order
INDEX = 'image/index'  # int64 [views]: each picture's position in the source document
LEAKED = 'image/leaked'  # int64 [views]: 1 if the same bytes occur in train; absent in train
LABEL = 'image/class/label'  # int64 [1]: the row in category_names.csv
PSEUDO = 'image/class/pseudo'  # int64 [1]: 1 if the label is a pseudo-label; absent otherwise
CATEGORY_ID = 'category/id'  # int64 [1]: the shop's category id
LEVEL = 'category/level'  # and 1, 2, …: int64 [1]: dense label of the parent at that level
PRODUCT_ID = 'product/id'  # int64 [1]: `_id`, or the number of a key
PRODUCT_KEY = 'product/key'  # bytes [1]: `_id` as text; absent if it is an integer

KINDS = ('product', 'image')


@dataclass(frozen=True)
class Category:
    """The category of a labelled product: its dense labels and the shop's category id.

    Attributes:
      label: The category's own label.
      category_id: The shop's id.
      parents: Labels of the parents at the levels 1 to N-1.
      pseudo: Whether a model predicted it, and the source did not give it.
    """

    label: int
    category_id: int
    parents: tuple[int, ...]
    pseudo: bool = False

    @functools.cached_property
    def encoded(self) -> bytes:
        """The serialized features, which all records of a category share."""
        values = {
            CATEGORY_ID: self.category_id,
            **{f'{LEVEL}{number}': node for number, node in enumerate(self.parents, start=1)},
            LABEL: self.label,
            **({PSEUDO: 1} if self.pseudo else {}),
        }
        return b''.join(tf_example.number(name, value) for name, value in values.items())


# A tuple, because millions are created, and a dataclass takes four times as long.
class Record(NamedTuple):
    """A product with its views, or (`--record=image`) with one of them.

    Attributes:
      product_id: The shop's product id, or the number of its key.
      pictures: Encoded pictures [views].
      indices: Position of each picture in the source document [views].
      category: The product's category; None in unlabelled data.
      leaked: For each picture, 1 if it also occurs in train, else 0 [views]; None in train and in
        unlabelled data.
      key: The key of the product, as of `product_key.encode`; b'' if the shop's id is an integer.
    """

    product_id: int
    pictures: Sequence[bytes]
    indices: Sequence[int]
    category: Category | None = None
    leaked: Sequence[int] | None = None
    key: bytes = b''


def _field(
    name: str, number: int, kind: str, *, type_name: str = '', repeated: bool = False
) -> descriptor_pb2.FieldDescriptorProto:
    field = descriptor_pb2.FieldDescriptorProto(
        name=name,
        number=number,
        type=getattr(descriptor_pb2.FieldDescriptorProto, f'TYPE_{kind}'),
        label=descriptor_pb2.FieldDescriptorProto.LABEL_REPEATED
        if repeated
        else descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL,
    )
    if type_name:
        field.type_name = f'.tensorflow.{type_name}'
    return field


def _example_class() -> Any:
    file = descriptor_pb2.FileDescriptorProto(
        name='catalog/example.proto', package='tensorflow', syntax='proto3'
    )
    bytes_list = file.message_type.add(name='BytesList')
    bytes_list.field.append(_field('value', 1, 'BYTES', repeated=True))
    float_list = file.message_type.add(name='FloatList')
    float_list.field.append(_field('value', 1, 'FLOAT', repeated=True))
    int64_list = file.message_type.add(name='Int64List')
    int64_list.field.append(_field('value', 1, 'INT64', repeated=True))

    feature = file.message_type.add(name='Feature')
    feature.oneof_decl.add(name='kind')
    for number, (name, type_name) in enumerate(
        [('bytes_list', 'BytesList'), ('float_list', 'FloatList'), ('int64_list', 'Int64List')], 1
    ):
        field = _field(name, number, 'MESSAGE', type_name=type_name)
        field.oneof_index = 0
        feature.field.append(field)

    features = file.message_type.add(name='Features')
    entry = features.nested_type.add(name='FeatureEntry')
    entry.options.map_entry = True
    entry.field.append(_field('key', 1, 'STRING'))
    entry.field.append(_field('value', 2, 'MESSAGE', type_name='Feature'))
    features.field.append(
        _field('feature', 1, 'MESSAGE', type_name='Features.FeatureEntry', repeated=True)
    )

    example = file.message_type.add(name='Example')
    example.field.append(_field('features', 1, 'MESSAGE', type_name='Features'))

    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName('tensorflow.Example'))


_Example = _example_class()


def encode(record: Record) -> bytes:
    """Serializes a record as a tf.Example."""
    return encode_all([record])[0]


def encode_all(records: Sequence[Record]) -> list[bytes]:
    """Serializes records, each as a tf.Example."""
    # Features are sorted by name: category/*, image/class/label, image/class/pseudo, image/encoded,
    # image/index, image/leaked, product/id, product/key.
    ids = tf_example.number_of_each(PRODUCT_ID, np.array([r.product_id for r in records], np.int64))
    if any(record.key for record in records):
        ids = [
            number + (tf_example.text(PRODUCT_KEY, record.key) if record.key else b'')
            for number, record in zip(ids, records, strict=True)
        ]
    return tf_example.examples(
        [record.category.encoded if record.category else b'' for record in records],
        ENCODED,
        [record.pictures for record in records],
        [
            _positions(tuple(record.indices), record.leaked and tuple(record.leaked)) + product_id
            for record, product_id in zip(records, ids, strict=True)
        ],
    )


@functools.lru_cache(1 << 12)  # most records have one of a few combinations
def _positions(indices: tuple[int, ...], leaked: tuple[int, ...] | None) -> bytes:
    found = tf_example.numbers(INDEX, indices)
    return found if leaked is None else found + tf_example.numbers(LEAKED, leaked)


def decode(serialized: bytes) -> Record:
    """Parses a serialized tf.Example.

    Raises:
      google.protobuf.message.DecodeError: If the bytes are not a tf.Example.
    """
    feature = _Example.FromString(serialized).features.feature

    def numbers(name: str) -> list[int]:
        return list(feature[name].int64_list.value) if name in feature else []

    category = None
    if LABEL in feature:
        parents = itertools.takewhile(bool, (numbers(f'{LEVEL}{n}') for n in itertools.count(1)))
        category = Category(
            numbers(LABEL)[0],
            numbers(CATEGORY_ID)[0],
            tuple(values[0] for values in parents),
            pseudo=numbers(PSEUDO) == [1],
        )
    return Record(
        product_id=numbers(PRODUCT_ID)[0],
        pictures=list(feature[ENCODED].bytes_list.value),
        indices=numbers(INDEX),
        category=category,
        leaked=numbers(LEAKED) if LEAKED in feature else None,
        key=feature[PRODUCT_KEY].bytes_list.value[0] if PRODUCT_KEY in feature else b'',
    )
