"""The signatures of an exported model."""

import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from catalog import categories
from tests.trainer.export.reference import encode_picture, model_probabilities
from trainer.export import serving_module
from trainer.inference.runs import restore_member
from trainer.workdir import run_files

_WITHOUT_TRAINER = """
import sys, numpy as np, tensorflow as tf
model = tf.saved_model.load(sys.argv[1])
encoded = [open(path, 'rb').read() for path in sys.argv[3:]]
outputs = model.signatures['serving_default'](image_bytes=tf.constant(encoded))
def plain(array):
    return array.astype('S') if array.dtype == object else array
np.savez(sys.argv[2], **{name: plain(value.numpy()) for name, value in outputs.items()})
assert 'trainer' not in sys.modules
"""


_SESSION = """
import sys, numpy as np, tensorflow as tf
encoded = [open(path, 'rb').read() for path in sys.argv[3:]]
with tf.compat.v1.Session(graph=tf.Graph()) as session:
    meta = tf.compat.v1.saved_model.loader.load(session, ['serve'], sys.argv[1])
    signature = meta.signature_def['serving_default']
    confidence = session.run(
        signature.outputs['confidence'].name, {signature.inputs['image_bytes'].name: encoded}
    )
np.save(sys.argv[2], confidence)
"""


def test_a_session_as_in_tensorflow_serving_predicts_like_the_model_in_memory(
    exported: Path, workdir: str, tmp_path: Path
) -> None:
    encoded = [encode_picture(seed) for seed in range(4)]
    paths = [tmp_path / f'{i}.jpg' for i in range(4)]
    for path, data in zip(paths, encoded, strict=True):
        path.write_bytes(data)
    result = tmp_path / 'confidence.npy'
    subprocess.run([sys.executable, '-c', _SESSION, exported, result, *paths], check=True, cwd='/')
    expected = -np.sort(-model_probabilities(workdir, encoded), axis=1)
    np.testing.assert_allclose(np.load(result), expected[:, :5], atol=1e-6)


def test_a_process_without_the_trainer_predicts_like_the_model_in_memory(
    exported: Path, workdir: str, data_folder: str, tmp_path: Path
) -> None:
    encoded = [encode_picture(seed) for seed in range(6)]
    paths = [tmp_path / f'{i}.jpg' for i in range(6)]
    for path, data in zip(paths, encoded, strict=True):
        path.write_bytes(data)
    result = tmp_path / 'outputs.npz'

    subprocess.run(
        [sys.executable, '-c', _WITHOUT_TRAINER, exported, result, *paths], check=True, cwd='/'
    )

    outputs = np.load(result)
    expected = model_probabilities(workdir, encoded)
    order = np.argsort(-expected, axis=1, kind='stable')
    tree = categories.load(f'{data_folder}/category_names.csv')
    np.testing.assert_array_equal(outputs['label'], order)
    np.testing.assert_allclose(
        outputs['confidence'], np.take_along_axis(expected, order, axis=1), atol=1e-6
    )
    np.testing.assert_array_equal(outputs['category_id'], tree.ids[order])
    for level in range(3):
        names = np.array([tree.names[label][level].encode() for label in order.ravel()])
        np.testing.assert_array_equal(outputs[f'level{level + 1}'].ravel(), names)
    assert outputs['confidence'].dtype == np.float32
    assert outputs['label'].dtype == outputs['category_id'].dtype == np.int64


@pytest.mark.parametrize(
    'data',
    [
        encode_picture(1),
        encode_picture(1, mode='L'),
        encode_picture(1, kind='PNG'),
        encode_picture(1, mode='L', kind='PNG'),
        encode_picture(1, mode='RGBA', kind='PNG'),
        encode_picture(1, kind='GIF', mode='P'),
        encode_picture(1, size=(41, 90)),
    ],
    ids=['jpeg', 'grey jpeg', 'png', 'grey png', 'png with alpha', 'gif', 'another size'],
)
def test_pictures_of_all_formats_are_accepted(loaded: Any, data: bytes) -> None:
    outputs = loaded.signatures['serving_default'](image_bytes=tf.constant([data]))
    assert outputs['label'].shape == (1, 4)
    assert float(tf.reduce_sum(outputs['confidence'])) == pytest.approx(1, abs=1e-5)


def test_bytes_that_are_not_a_picture_are_an_error(loaded: Any) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError):
        loaded.signatures['serving_default'](image_bytes=tf.constant([b'not a picture']))


def test_a_product_has_the_mean_of_its_pictures(loaded: Any, workdir: str) -> None:
    encoded = [encode_picture(seed) for seed in range(6)]
    product = np.array([2, 0, 2, 1, 0, 2])
    each = model_probabilities(workdir, encoded)
    mean = np.stack([each[product == p].mean(axis=0) for p in range(3)])

    outputs = loaded.signatures['product'](
        image_bytes=tf.constant(encoded), product=tf.constant(product)
    )

    order = np.argsort(-mean, axis=1)
    np.testing.assert_array_equal(outputs['label'], order)
    np.testing.assert_allclose(
        outputs['confidence'], np.take_along_axis(mean, order, axis=1), atol=1e-6
    )
    tree = run_files.restore_categories(workdir)
    for row, level in zip(mean, outputs['level'].numpy(), strict=True):
        best = row.argmax()
        trusted = [
            row[tree.parents[0] == tree.parents[0][best]].sum() >= 0.5,
            row[tree.parents[1] == tree.parents[1][best]].sum() >= 0.5,
            row[best] >= 0.5,
        ]
        assert level == max((depth for depth, ok in enumerate(trusted, 1) if ok), default=0)


@pytest.mark.parametrize(
    ('product', 'message'),
    [
        ([0, 2], 'product must use every number from 0 to P-1'),
        ([-1, 0], 'product must use every number from 0 to P-1'),
        ([0, 60_000_000], r'product must use every number from 0 to P-1, got\] \[0 60000000\]'),
        ([0, 1 << 62], 'product must use every number from 0 to P-1'),
        ([0], 'product must have one number per picture'),
    ],
)
def test_invalid_product_numbers_are_errors(loaded: Any, product: list[int], message: str) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        loaded.signatures['product'](
            image_bytes=tf.constant([encode_picture(0), encode_picture(1)]),
            product=tf.constant(product, tf.int64),
        )


def test_a_picture_of_64_kb_with_529_megapixels_is_refused_by_its_header(loaded: Any) -> None:
    side = 23_000
    rows = zlib.compress(bytes((side + 15) // 8) * side, 9)  # a bit per pixel
    header = struct.pack('>IIBBBBB', side, side, 1, 0, 0, 0, 0)
    chunks = [(b'IHDR', header), (b'IDAT', rows), (b'IEND', b'')]
    data = b'\x89PNG\r\n\x1a\n' + b''.join(
        struct.pack('>I', len(content))
        + kind
        + content
        + struct.pack('>I', zlib.crc32(kind + content))
        for kind, content in chunks
    )
    assert len(data) < 66_000
    for name in ('serving_default', 'embedding'):
        with pytest.raises(
            tf.errors.InvalidArgumentError, match='67108864 pixels, got 23000x23000'
        ):
            loaded.signatures[name](image_bytes=tf.constant([data]))


def test_decoded_images_are_classified_and_embedded_like_their_bytes(loaded: Any) -> None:
    encoded = [encode_picture(seed) for seed in range(3)]
    images = np.stack([Image.open(io.BytesIO(data)) for data in encoded])  # of the model's size
    actual = loaded.signatures['pixels'](images=tf.constant(images))
    expected = {
        **loaded.signatures['serving_default'](image_bytes=tf.constant(encoded)),
        **loaded.signatures['embedding'](image_bytes=tf.constant(encoded)),
    }
    assert set(actual) == set(expected)
    for name, values in expected.items():
        if values.dtype == tf.float32:
            np.testing.assert_allclose(actual[name], values, atol=1e-6, err_msg=name)
        else:
            np.testing.assert_array_equal(actual[name], values, err_msg=name)


def test_an_embedding_is_the_features_divided_by_their_norm(loaded: Any, workdir: str) -> None:
    encoded = [encode_picture(seed) for seed in range(4)]
    actual = loaded.signatures['embedding'](image_bytes=tf.constant(encoded))['embedding'].numpy()
    np.testing.assert_allclose(np.linalg.norm(actual, axis=1), 1, atol=1e-6)

    model = restore_member(workdir)[0].model
    features = keras.Model(model.inputs, model.layers[-2].output)  # the last layer computes logits
    pixels = np.stack([Image.open(io.BytesIO(data)) for data in encoded])
    expected = features([pixels.astype(np.float32) / 127.5 - 1], training=False).numpy()
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(actual, expected, atol=1e-5)


def _tree() -> categories.Categories:
    # Leaves 0 and 1 share a level-2 node, leaf 2 is in the same level-1 node, leaf 3 in another.
    text = (
        'category_id,category_level1,category_level2,category_level3\n'
        '71,HAUT,"A, ""B"""," BÉBÉ "\n72,HAUT,"A, ""B""",DEUX\n9,HAUT,C,TROIS\n5,BAS,C,QUATRE\n'
    )
    return categories.parse(text.encode(), path='names.csv')


def test_the_level_is_the_deepest_one_above_the_threshold() -> None:
    probabilities = tf.constant(
        [
            [0.60, 0.20, 0.10, 0.10],  # the leaf
            [0.40, 0.30, 0.20, 0.10],  # 0.7 with its sibling
            [0.30, 0.15, 0.28, 0.27],  # 0.73 under HAUT only
            [0.23, 0.23, 0.00, 0.54],  # BAS, which has only this leaf
            [0.25, 0.00, 0.22, 0.53],
        ]
    )
    level = serving_module.deepest_level(probabilities, _tree(), threshold=0.5)
    assert level.numpy().tolist() == [3, 2, 1, 3, 3]
    level = serving_module.deepest_level(probabilities, _tree(), threshold=0.75)
    assert level.numpy().tolist() == [2, 1, 0, 0, 0]
    assert level.dtype == tf.int64


def test_names_are_output_unchanged() -> None:
    outputs = serving_module.top_categories(
        tf.constant([[0.1, 0.0, 0.2, 0.7], [1.0, 0, 0, 0]]), _tree(), top_k=2
    )
    assert outputs['level3'].numpy().tolist() == [
        [b'QUATRE', b'TROIS'],
        [' BÉBÉ '.encode(), b'DEUX'],
    ]  # fmt: skip
    assert outputs['level2'].numpy()[1, 0] == b'A, "B"'
    assert outputs['category_id'].numpy().tolist() == [[5, 9], [71, 72]]


RAGGED = b'id,level1,level2,level3,level4,level5\nX-1,A,B,C,D,E\nX-2,A,B,C,D,F\nX-3,A,B,,,\n'


def test_a_deeper_tree_has_an_output_for_each_level() -> None:
    tree = categories.parse(RAGGED, path='tree.csv')
    outputs = serving_module.top_categories(tf.constant([[0.1, 0.2, 0.7]]), tree, top_k=2)
    assert {name: outputs[f'level{name}'].numpy()[0].tolist() for name in range(1, 6)} == {
        1: [b'A', b'A'],
        2: [b'B', b'B'],
        3: [b'', b'C'],
        4: [b'', b'D'],
        5: [b'', b'F'],
    }
    assert 'level6' not in outputs
    assert outputs['category_code'].numpy().tolist() == [[b'X-3', b'X-2']]
    assert outputs['category_id'].numpy().tolist() == [tree.ids[[2, 1]].tolist()]


def test_the_level_of_a_short_path_ends_with_it() -> None:
    tree = categories.parse(RAGGED, path='tree.csv')
    probabilities = tf.constant([[0.0, 0.2, 0.8], [0.6, 0.4, 0.0], [0.4, 0.3, 0.3]])
    level = serving_module.deepest_level(probabilities, tree, threshold=0.5)
    assert level.numpy().tolist() == [2, 5, 4]


def test_a_tree_of_one_level_has_one_output() -> None:
    tree = categories.parse(b'id,level1\n1,A\n2,B\n', path='tree.csv')
    outputs = serving_module.top_categories(tf.constant([[0.3, 0.7]]), tree, top_k=1)
    assert sorted(outputs) == ['category_id', 'confidence', 'label', 'level1']
    level = serving_module.deepest_level(tf.constant([[0.3, 0.7]]), tree, threshold=0.5)
    assert level.numpy().tolist() == [1]


def test_a_function_beside_the_signatures_returns_all_probabilities(
    loaded: Any, workdir: str
) -> None:
    encoded = [encode_picture(seed) for seed in range(3)]
    pixels = np.stack([Image.open(io.BytesIO(data)) for data in encoded])
    actual = loaded.product_probabilities(tf.constant(pixels), tf.constant([0, 0, 1], tf.int64))
    each = model_probabilities(workdir, encoded)
    np.testing.assert_allclose(actual, [each[:2].mean(axis=0), each[2]], atol=1e-6)
