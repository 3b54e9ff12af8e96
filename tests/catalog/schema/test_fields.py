import pytest

from catalog.errors import UserError
from catalog.schema import fields


def test_a_field_that_is_not_renamed_keeps_its_name() -> None:
    names = fields.parse(['_id=sku', 'category_id=cat.leaf'])
    assert (names['_id'], names['imgs']) == ('sku', 'imgs')
    assert names.path('category_id') == (b'cat', b'leaf')
    assert names.is_renamed('_id')
    assert not names.is_renamed('imgs')


@pytest.mark.parametrize(
    ('pairs', 'message'),
    [
        (['sku'], 'must be OURS=THEIRS, .* got .sku'),
        (['_id='], 'must be OURS=THEIRS'),
        (['=sku'], 'must be OURS=THEIRS'),
        (['_id=a..b'], 'must be OURS=THEIRS'),
        (['id=sku'], "must rename one of _id, imgs, .*, got 'id'"),
        (['_id=sku', '_id=ean'], 'must rename a field once, got _id twice'),
    ],
)
def test_a_wrong_pair_is_refused(pairs: list[str], message: str) -> None:
    with pytest.raises(UserError, match=f'--fields: {message}'):
        fields.parse(pairs)


def test_fields_of_another_kind_of_source_are_refused() -> None:
    with pytest.raises(UserError, match=r"BSON documents have the fields _id, .*, got 'path'"):
        fields.parse(['path=file']).check(fields.DOCUMENT_FIELDS, source='BSON documents')
