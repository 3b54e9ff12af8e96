"""A category tree and BSON files for the tests of the shard job."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.beam_pipelines.shop import CATEGORY_IDS


@pytest.fixture(scope='session')
def categories_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp('tree') / 'category_names.csv'
    rows = [
        f'{category_id},"LEVEL, {number // 2}",MIDDLE,LEAF {number}'
        for number, category_id in enumerate(CATEGORY_IDS)
    ]
    header = 'category_id,category_level1,category_level2,category_level3'
    path.write_text('\n'.join([header, *rows]) + '\n')
    return path


@pytest.fixture
def write_bson(tmp_path: Path) -> Callable[..., Path]:
    def write(documents: Sequence[bytes], name: str = 'train.bson') -> Path:
        path = tmp_path / name
        path.write_bytes(b''.join(documents))
        return path

    return write
