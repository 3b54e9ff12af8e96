"""Shard file names: builds and parses them."""

import re
from dataclasses import dataclass

SPLITS = ('train', 'validation', 'test', 'predict')
LABELLED_SPLITS = SPLITS[:3]
COMPRESSIONS = ('none', 'gzip')

_NAME = re.compile(
    rf'(?P<split>{"|".join(SPLITS)})-(?P<index>\d{{5,}})-of-(?P<count>\d{{5,}})\.tfrecord(\.gz)?'
)


@dataclass(frozen=True, order=True)
class ShardName:
    """Shard `index` of `count` of a split."""

    split: str
    index: int
    count: int

    def file(self, *, compression: str = 'none') -> str:
        """Returns the file name: `train-00007-of-00512.tfrecord`, then `.gz` if compressed."""
        name = f'{self.split}-{self.index:05d}-of-{self.count:05d}.tfrecord'
        return name + '.gz' if compression == 'gzip' else name


def parse(file: str) -> ShardName | None:
    """Parses a file name; returns None if it is not the name of a shard."""
    match = _NAME.fullmatch(file)
    if not match:
        return None
    return ShardName(match['split'], int(match['index']), int(match['count']))
