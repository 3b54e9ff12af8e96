"""Category trees: labels, parents and errors."""

from pathlib import Path

import pytest

from catalog import categories
from catalog.errors import UserError

SHARED = Path(__file__).resolve().parents[2].parent / 'shared' / 'data'
HEADER = 'category_id,category_level1,category_level2,category_level3\n'
TREE = HEADER + (
    '30,"TOYS, GAMES",GAMES,CARDS\n'
    '10,"TOYS, GAMES",GAMES, DICE \n'
    '20,VIDEO,GAMES,"THE ""BEST"""\n'
    '40,VIDEO,ÉCRANS,CARDS\n'
)


def test_labels_follow_the_rows_and_names_are_unchanged() -> None:
    tree = categories.parse(TREE.encode(), path='tree.csv')
    assert tree.ids.tolist() == [30, 10, 20, 40]
    assert tree.label_by_id == {30: 0, 10: 1, 20: 2, 40: 3}
    assert tree.names == (
        ('TOYS, GAMES', 'GAMES', 'CARDS'),
        ('TOYS, GAMES', 'GAMES', ' DICE '),
        ('VIDEO', 'GAMES', 'THE "BEST"'),
        ('VIDEO', 'ÉCRANS', 'CARDS'),
    )


def test_a_parent_is_identified_by_its_path() -> None:
    tree = categories.parse(TREE.encode(), path='tree.csv')
    assert tree.level1.tolist() == [0, 0, 1, 1]
    assert tree.level2.tolist() == [0, 0, 1, 2]


@pytest.mark.parametrize(
    ('data', 'message'),
    [
        (b'\xef\xbb\xbf' + TREE.encode(), 'tree.csv, line 1: must be UTF-8 without a byte order'),
        ((HEADER + '1,A,B,\xc9\n').encode('latin-1'), 'line 2: must be UTF-8, got byte 0xc9'),
        ((HEADER + '1,A,B,C\n2,A,B\n').encode(), 'line 3: a row must have 4 fields, got 3'),
        ((HEADER + '1,A,B,C\n1,A,B,D\n').encode(), 'line 3: category_id must be unique, got 1'),
        ((HEADER + 'x,A,B,C\n').encode(), "line 2: category_id must be an integer, got 'x'"),
        (
            (HEADER + '1,A,B,\x1b[2J\n').encode(),
            "line 2: a name must have no control characters, got '\\x1b[2J'",
        ),
        ((HEADER + '1,A,B\u202ecod,C\n').encode(), "control characters, got 'B\\u202ecod'"),
        ((HEADER + '1,A,B,C\u2066\n').encode(), "control characters, got 'C\\u2066'"),
        ((HEADER + '1,A,"B\nB",C\n').encode(), "no control characters, got 'B\\nB'"),
        (b'1,A,B,C\n', 'line 1: the header must be category_id,category_level1'),
        (b'', 'line 1: the header must be'),
        (HEADER.encode(), 'must contain at least one category'),
    ],
)
def test_an_invalid_file_is_an_error_with_its_line(data: bytes, message: str) -> None:
    with pytest.raises(UserError) as caught:
        categories.parse(data, path='tree.csv')
    assert message in str(caught.value)
    assert '\n' not in str(caught.value)


@pytest.mark.skipif(not SHARED.exists(), reason='the genuine tree is not on this machine')
def test_the_genuine_tree_has_the_known_sizes() -> None:
    tree = categories.load(str(SHARED / 'category_names.csv'))
    assert len(tree) == 5270
    assert len(set(tree.level1.tolist())) == 49
    assert len(set(tree.level2.tolist())) == 486
    assert len({names[1] for names in tree.names}) == 483
    assert len({names[2] for names in tree.names}) == 5263
    assert sum(any(n != n.strip() for n in names) for names in tree.names) == 87
    assert tree.names[0] == (
        'ABONNEMENT / SERVICES',
        'CARTE PREPAYEE',
        'CARTE PREPAYEE MULTIMEDIA',
    )
