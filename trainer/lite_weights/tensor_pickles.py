"""Interprets the pickles of a PyTorch file: numbers, strings, containers, descriptions of tensors.

The pickles are untrusted, so Python's unpickler does not see them. The opcodes that such files need
are interpreted here, and nothing that a pickle names is imported or called.
"""

import pickletools  # nosec B403
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import numpy as np

_MAX_OPCODES = 1_000_000
_MAX_NUMBER = 1 << 40  # of a size, a stride or an offset
_MAX_RANK = 8
_TENSOR = 'torch._utils _rebuild_tensor_v2'
_DICTIONARY = 'collections OrderedDict'
_DTYPES: dict[str, np.dtype[Any]] = {
    'torch FloatStorage': np.dtype('<f4'),
    'torch LongStorage': np.dtype('<i8'),
}


@dataclass(frozen=True)
class Storage:
    """A storage that a pickle refers to by its key."""

    key: str
    dtype: np.dtype[Any]


@dataclass(frozen=True)
class Tensor:
    """The description of a tensor: a view of a storage. Counts elements, not bytes."""

    storage: Storage
    offset: int
    size: tuple[int, ...]
    strides: tuple[int, ...]


@dataclass(frozen=True)
class _Global:
    name: str


def load(file: BinaryIO) -> Any:
    """Interprets one pickle and leaves the file behind it.

    Raises:
      ValueError: If it is damaged, or names anything but dictionaries and tensors.
    """
    machine = _Machine()
    try:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(file)):
            if count == _MAX_OPCODES:
                raise ValueError(f'a pickle of more than {_MAX_OPCODES:,} opcodes')
            machine.run(opcode.name, argument)
        return machine.stack[-1]
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise ValueError(f'a damaged pickle ({type(error).__name__}: {error})') from error


@dataclass
class _Machine:
    stack: list[Any] = field(default_factory=list)
    _below: list[list[Any]] = field(default_factory=list)  # the stacks below the marks
    _memo: dict[int, Any] = field(default_factory=dict)

    def run(self, opcode: str, argument: Any) -> None:
        """Runs an opcode of pickle's protocol 2."""
        match opcode:
            case 'PROTO' | 'STOP':
                pass
            case 'BININT' | 'BININT1' | 'BININT2' | 'LONG1' | 'BINUNICODE':
                self.stack.append(argument)
            case 'NONE' | 'NEWFALSE' | 'NEWTRUE':
                self.stack.append({'NONE': None, 'NEWFALSE': False, 'NEWTRUE': True}[opcode])
            case 'EMPTY_DICT' | 'EMPTY_LIST' | 'EMPTY_TUPLE':
                self.stack.append({'EMPTY_DICT': {}, 'EMPTY_LIST': [], 'EMPTY_TUPLE': ()}[opcode])
            case 'MARK':
                self._below.append(self.stack)
                self.stack = []
            case 'TUPLE':
                items = self._pop_to_mark()
                self.stack.append(tuple(items))
            case 'TUPLE1' | 'TUPLE2' | 'TUPLE3':
                items = [self.stack.pop() for _ in range(int(opcode[-1]))]
                self.stack.append(tuple(reversed(items)))
            case 'BINPUT' | 'LONG_BINPUT':
                self._memo[argument] = self.stack[-1]
            case 'BINGET' | 'LONG_BINGET':
                self.stack.append(self._memo[argument])
            case 'SETITEM':
                value, key = self.stack.pop(), self.stack.pop()
                _set(self.stack[-1], [key, value])
            case 'SETITEMS':
                items = self._pop_to_mark()
                _set(self.stack[-1], items)
            case 'APPEND':
                item = self.stack.pop()
                self.stack[-1].append(item)
            case 'APPENDS':
                items = self._pop_to_mark()
                self.stack[-1].extend(items)
            case 'GLOBAL':
                self.stack.append(_global(argument))
            case 'BINPERSID':
                self.stack.append(_storage(self.stack.pop()))
            case 'REDUCE':
                arguments, function = self.stack.pop(), self.stack.pop()
                self.stack.append(_reduce(function, arguments))
            case 'BUILD':
                self.stack.pop()  # attributes of a dictionary; PyTorch keeps versions there
            case _:
                raise ValueError(f'the pickle opcode {opcode}')

    def _pop_to_mark(self) -> list[Any]:
        items = self.stack
        self.stack = self._below.pop()
        return items


def _set(target: dict[str, Any], items: list[Any]) -> None:
    for key, value in zip(items[::2], items[1::2], strict=True):
        if not isinstance(key, str):
            raise ValueError(f'a dictionary with a key of type {type(key).__name__}')
        target[key] = value


def _global(name: str) -> _Global:
    if name not in (_TENSOR, _DICTIONARY, *_DTYPES):
        raise ValueError(f'a pickle that names {name.replace(" ", ".")}')
    return _Global(name)


def _storage(identity: Any) -> Storage:
    kind, dtype, key, *_ = identity
    if kind != 'storage' or not isinstance(key, str):
        raise ValueError('a storage without a key')
    return Storage(key, _DTYPES[dtype.name])


def _reduce(function: Any, arguments: Any) -> Any:
    if function == _Global(_DICTIONARY) and arguments == ():
        return {}
    if function != _Global(_TENSOR):
        raise ValueError('a call of neither OrderedDict() nor _rebuild_tensor_v2()')
    storage, offset, size, strides, *_ = arguments
    if not isinstance(storage, Storage) or len(size) != len(strides) or len(size) > _MAX_RANK:
        raise ValueError('a tensor that is not a view of a storage')
    numbers = [offset, *size, *strides]
    if not all(type(number) is int for number in numbers):
        raise ValueError('a tensor whose offset, size and strides are not integers')
    if min(numbers) < 0 or max(numbers) > _MAX_NUMBER:
        raise ValueError(
            f'a tensor with a number outside of 0 to {_MAX_NUMBER:,}: '
            f'offset {offset}, size {size}, strides {strides}'
        )
    return Tensor(storage, offset, tuple(size), tuple(strides))
