"""Names of version folders."""

import pytest

from catalog.errors import UserError
from catalog.model_versions import names


@pytest.mark.parametrize(
    ('name', 'version'),
    [
        ('1', 1),
        ('0', 0),
        ('007', 7),
        ('9223372036854775807', 2**63 - 1),
        ('9223372036854775808', None),
        ('20260101120000123456', None),
        ('9' * 5000, None),
        ('-1', None),
        ('1.0', None),
        ('٣', None),
        ('', None),
    ],
)
def test_a_version_is_an_int64_in_digits(name: str, version: int | None) -> None:
    assert names.read_version(name) == version


@pytest.mark.parametrize('path', ['models/shop/12', 'models/shop/12/', 'gs://bucket/shop/12'])
def test_a_path_ends_with_a_model_and_a_version(path: str) -> None:
    assert names.read_path(path, flag='output') == ('shop', 12)


@pytest.mark.parametrize('path', ['12', '/12', 'models/shop/latest', f'models/shop/{2**63}', 'a/'])
def test_another_path_is_an_error_with_its_flag(path: str) -> None:
    with pytest.raises(UserError) as error:
        names.read_path(path, flag='output')
    assert str(error.value) == (
        '--output must be DIR/MODEL/VERSION with an integer version of at most '
        f'9223372036854775807, because servers of models look for such folders, got {path!r}; '
        'for example models/shop/1'
    )
