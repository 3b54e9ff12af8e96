"""The reader of PyTorch files, on files written by hand: intact, truncated and malicious."""

import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from catalog.errors import UserError
from trainer.lite_weights import convert, pth

MAGIC = 0x1950A86A20F9469CFC6C
VALUES = np.arange(6, dtype='<f4')


def _opcodes(value: Any) -> bytes:
    """Returns the opcodes that push a value of numbers, strings, lists and tuples."""
    return pickle.dumps(value, protocol=2)[2:-1]  # without PROTO and STOP


def _tensor(
    *,
    offset: Any = 0,
    size: Any = (2, 3),
    strides: Any = (3, 1),
    key: Any = 'weights',
    storage: bytes = b'ctorch\nFloatStorage\n',
) -> bytes:
    """Returns the opcodes that push a tensor, as torch.save writes them."""
    identity = b'(' + _opcodes('storage') + storage + _opcodes(key) + _opcodes('cpu') + b'K\x06tQ'
    view = _opcodes(offset) + _opcodes(size) + _opcodes(strides)
    return b'ctorch._utils\n_rebuild_tensor_v2\n(' + identity + view + b'\x89}tR'


def _file(
    tmp_path: Path,
    tensor: bytes,
    *,
    keys: Any = ('weights',),
    count: int = 6,
    stored: bytes = VALUES.tobytes(),
) -> str:
    path = tmp_path / 'crafted.pth'
    path.write_bytes(
        b''.join(pickle.dumps(part, protocol=2) for part in (MAGIC, 1001, {}))
        + b'\x80\x02ccollections\nOrderedDict\n)R(' + _opcodes('w') + tensor + b'u.'
        + pickle.dumps(list(keys), protocol=2)
        + struct.pack('<q', count)
        + stored
    )  # fmt: skip
    return str(path)


def test_tensors_are_views_of_their_storage(tmp_path: Path) -> None:
    found = pth.read(_file(tmp_path, _tensor()))
    np.testing.assert_array_equal(found['w'], [[0, 1, 2], [3, 4, 5]])
    assert found['w'].dtype == np.float32
    transposed = pth.read(_file(tmp_path, _tensor(offset=1, size=(2, 2), strides=(1, 2))))
    np.testing.assert_array_equal(transposed['w'], [[1, 3], [2, 4]])
    scalar = pth.read(_file(tmp_path, _tensor(offset=5, size=(), strides=())))
    np.testing.assert_array_equal(scalar['w'], 5)


@pytest.mark.parametrize(
    ('view', 'message'),
    [
        ({'strides': (-3, 1), 'offset': 3}, 'a number outside of 0 to'),
        ({'strides': (1 << 34, 1)}, 'outside of its storage of 6 elements'),
        ({'strides': (1 << 62, 1)}, 'a number outside of 0 to'),
        ({'strides': (1 << 900, 1)}, 'a number outside of 0 to'),
        ({'offset': 1}, 'outside of its storage'),
        ({'offset': 1 << 34, 'size': (1,), 'strides': (1,)}, 'outside of its storage'),
        ({'offset': -1}, 'a number outside of 0 to'),
        ({'size': (2, 4)}, 'outside of its storage'),
        ({'size': (-2, 3)}, 'a number outside of 0 to'),
        ({'size': (1 << 33, 1 << 33), 'strides': (0, 0)}, 'outside of its storage'),
        ({'size': (1 << 40,), 'strides': (0,)}, 'outside of its storage'),
        ({'size': (0, 1 << 40)}, 'outside of its storage'),
        ({'size': (1 << 62, 4)}, 'a number outside of 0 to'),
        ({'size': (1,) * 9, 'strides': (1,) * 9}, 'not a view of a storage'),
        ({'size': (6,)}, 'not a view of a storage'),
        ({'size': (2.0, 3)}, 'the pickle opcode BINFLOAT'),
        ({'size': (None, 3)}, 'not integers'),
        ({'offset': True}, 'not integers'),
        ({'size': 'ab'}, 'not integers'),
        ({'size': 6, 'strides': 1}, 'a damaged pickle'),
        ({'key': 'others'}, "no tensor uses|a storage 'weights' that no tensor"),
        ({'key': 7}, 'a storage without a key'),
        ({'storage': b'ctorch\nHalfStorage\n'}, r'names torch\.HalfStorage'),
        ({'storage': b'ctorch\nLongStorage\n'}, '6 elements, with 24 bytes left'),
        ({'storage': b'ccollections\nOrderedDict\n'}, 'a damaged pickle'),
    ],
)
def test_a_tensor_outside_of_its_storage_is_rejected_in_one_line(
    tmp_path: Path, view: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message) as error:
        pth.read(_file(tmp_path, _tensor(**view)))
    assert '\n' not in str(error.value)
    assert 'must be a file of tensors from PyTorch before 1.6' in str(error.value)


@pytest.mark.parametrize(
    ('parts', 'message'),
    [
        ({'count': 7}, '7 elements, with 24 bytes left in the file'),
        ({'count': -1}, '-1 elements'),
        ({'count': (1 << 63) - 1}, '9,223,372,036,854,775,807 elements'),
        ({'stored': VALUES.tobytes()[:-1]}, '6 elements, with 23 bytes left'),
        ({'stored': b''}, '6 elements, with 0 bytes left'),
        ({'keys': ()}, "'w', which has no storage of its type"),
        ({'keys': ('weights', 'weights')}, 'keys of storages that are not different strings'),
        ({'keys': (7,)}, 'keys of storages that are not different strings'),
        ({'keys': ('weights', 'more')}, "a storage 'more' that no tensor uses"),
        ({'keys': [f'{i}' for i in range(10_001)]}, 'more than 10,000 tensors or storages'),
    ],
)
def test_a_storage_outside_of_the_file_is_rejected(
    tmp_path: Path, parts: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        pth.read(_file(tmp_path, _tensor(), **parts))


@pytest.mark.parametrize(
    ('tensor', 'message'),
    [
        (_opcodes(7), "'w', which is not a tensor"),
        (b'cos\nsystem\n' + _opcodes(('true',)) + b'R', r'names os\.system'),
        (b'c' + b'a' * 9999 + b'\nb\n', 'names a'),
        (b'ccollections\nOrderedDict\n' + _opcodes(([],)) + b'R', 'a call of neither'),
        (b'r\xff\xff\xff\xff0', 'the pickle opcode POP'),  # after a huge memo index
        (b'\x8a\xff', 'got: .*'),
        (b')' * 400_000 + b'\x85' * 700_000, 'more than 1,000,000 opcodes'),
        (b')' + b'\x85' * 200_000 + b'K\x00s', 'a damaged pickle|a dictionary with a key'),
        (b'h\x07', 'a damaged pickle'),
        (b'ttt', 'a damaged pickle'),
    ],
)
def test_a_malicious_pickle_is_rejected_and_nothing_is_called(
    tmp_path: Path, tensor: bytes, message: str
) -> None:
    with pytest.raises(UserError, match=message) as error:
        pth.read(_file(tmp_path, tensor))
    assert len(str(error.value)) < 500


def test_other_files_are_rejected(tmp_path: Path) -> None:
    path = tmp_path / 'other.pth'
    for content, message in [
        (pickle.dumps(print, protocol=2), r'names __builtin__\.print'),
        (pickle.dumps(print), 'the pickle opcode FRAME'),
        (pickle.dumps(7, protocol=2) * 3, 'another magic number'),
        (b'no pickle', 'must be a file of tensors from PyTorch'),
        (b'', 'must be a file of tensors from PyTorch'),
    ]:
        path.write_bytes(content)
        with pytest.raises(UserError, match=message):
            pth.read(str(path))
    with pytest.raises(UserError, match='No such file'):
        pth.read(str(tmp_path / 'absent.pth'))
    with path.open('wb') as file:
        file.truncate((256 << 20) + 1)
    with pytest.raises(UserError, match='268,435,457 bytes, more than 268,435,456'):
        pth.read(str(path))


def test_a_truncated_file_is_rejected(tmp_path: Path) -> None:
    content = Path(convert.package_file('efficientnet_lite0')).read_bytes()
    path = tmp_path / 'truncated.pth'
    for size in (len(content) // 2, len(content) - 1, 100):
        path.write_bytes(content[:size])
        with pytest.raises(UserError, match='must be a file of tensors from PyTorch'):
            pth.read(str(path))
