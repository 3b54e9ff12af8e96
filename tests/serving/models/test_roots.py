"""A client's reload request loads models only from where the operator's are."""

from pathlib import Path

import pytest

from serving.models import roots


@pytest.mark.parametrize(
    ('base_path', 'root'),
    [
        ('/models/shop', '/models'),
        ('/models/shop/', '/models'),
        ('/shop', '/shop'),
        ('gs://bucket/models/shop', 'gs://bucket/models'),
        ('gs://bucket/shop/', 'gs://bucket'),
        ('gs://bucket', 'gs://bucket'),
    ],
)
def test_the_folder_that_holds_a_model_is_a_root(base_path: str, root: str) -> None:
    assert roots.root(base_path) == root


@pytest.mark.parametrize(
    ('path', 'within'),
    [
        ('/models/other', True),
        ('/models', True),
        ('/models-evil/x', False),
        ('/models/../etc', False),
        ('/tmp', False),
        ('gs://bucket/a/b', True),
        ('gs://bucket-2/a', False),
        ('gs://bucket/../bucket-2/a', True),  # an object of `bucket`
        ('gs:///bucket-2/a', False),
    ],
)
def test_only_folders_below_a_root_are_within(path: str, within: bool) -> None:
    assert roots.is_within(path, ['/models', 'gs://bucket']) == within


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / 'models').mkdir()
    (tmp_path / 'elsewhere').mkdir()
    (tmp_path / 'models' / 'link').symlink_to(tmp_path / 'elsewhere')
    assert not roots.is_within(f'{tmp_path}/models/link', [f'{tmp_path}/models'])
    assert roots.is_within(f'{tmp_path}/models/new', [f'{tmp_path}/models'])
