"""Category trees: labels, parents and errors."""

import hashlib
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
    assert tree.parents[0].tolist() == [0, 0, 1, 1]
    assert tree.parents[1].tolist() == [0, 0, 1, 2]


@pytest.mark.parametrize(
    ('data', 'message'),
    [
        ((HEADER + '1,A,B,\xc9\n').encode('latin-1'), 'line 2: must be UTF-8, got byte 0xc9'),
        ((HEADER + '1,A,B,C\n2,A,B\n').encode(), 'line 3: a row must have 4 fields, got 3'),
        ((HEADER + '1,A,B,C\n1,A,B,D\n').encode(), 'line 3: category_id must be unique, got 1'),
        ((HEADER + '1,A,B,C\n1_0,A,B,D\n').encode(), 'line 3: category_id must be an integer, as '),
        ((HEADER + '1,A,B,C\n1.5,A,B,D\n').encode(), "of this file, got '1.5'"),
        (
            (HEADER + ' ,A,B,C\n').encode(),
            "line 2: category_id must have 1 to 256 characters, got ' '",
        ),
        (
            (HEADER + f'{2**63},A,B,C\n').encode(),
            'line 2: category_id must fit in 64 bits, or be a',
        ),
        ((HEADER + '9' * 5000 + ',A,B,C\n').encode(), 'line 2: category_id must'),
        ((HEADER + 'x,A,B,C\n x ,A,B,D\n').encode(), "line 3: category_id must be unique, got 'x'"),
        ((HEADER + '1,A,,C\n').encode(), "only the end of a path may be empty, got 'A >  > C'"),
        ((HEADER + '1,,,\n').encode(), 'line 2: a category must have 1 to 8 names, got 0'),
        (
            b'id,' + b','.join(b'level%d' % n for n in range(1, 10)) + b'\n',
            'with 1 to 8 levels, got',
        ),
        (
            b'id,level1,level3\n1,A,B\n',
            'the header must be category_id,category_level1,\u2026 with',
        ),
        (b'id\n1\n', "with 1 to 8 levels, got 'id'"),
        (
            b'1 - A > B\nC > D\n',
            "line 2: a line of Google's taxonomy must be 'ID - NAME > NAME' as the first",
        ),
        (
            b'# Google_Product_Taxonomy_Version: 1\nA > B\n1 - C > D',
            "line 3: a line of Google's taxonomy must be 'NAME > NAME, without an id' as the first",
        ),
        (b'id,name,products\n1,A,7\n', "levels, got 'id,name,products'; one column for all is"),
        (b'1 - A >  > B\n', 'line 1: a name must not be empty'),
        (('1 - ' + ' > '.join('ABCDEFGHI')).encode(), 'a category must have 1 to 8 names, got 9'),
        (b'1 - A\n1 - B\n', 'line 2: category_id must be unique, got 1 again (first on line 1)'),
        (b'\xff\xfeA', 'tree.csv: must be UTF-8, got damaged UTF-16'),
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
        (HEADER.encode('utf-16-le'), 'must be text in UTF-8, or in UTF-16 with a byte order mark'),
        (b'PK\x03\x04' + bytes(40), 'must be a category tree as text, got a zip archive; save it'),
        (b'[{"id": 7}]', 'must be a category tree as text, got JSON text; save it as CSV'),
        (b'id,name\n1.2E+12,A\n', "got '1.2E+12', which has lost digits"),
        (
            b'id,parent_id,name\n1,3,A\n3,1,B\n',
            "line 2: a category must not be its own parent, got '",
        ),
        (b'id,parent_id,name\n1,1,A\n', "line 2: a category must not be its own parent, got '1'"),
        (
            b'id,parent_id,name\n1,,A\n2,9,B\n',
            'line 3: the parent of a category must be in the file',
        ),
    ],
)
def test_an_invalid_file_is_an_error_with_its_line(data: bytes, message: str) -> None:
    with pytest.raises(UserError) as caught:
        categories.parse(data, path='tree.csv')
    assert message in str(caught.value)
    assert '\n' not in str(caught.value)


GOOGLE = (
    '# Google_Product_Taxonomy_Version: 2021-09-21\r\n'
    '1 - Animals & Pet Supplies\r\n'
    '3237 - Animals & Pet Supplies > Live Animals\r\n'
    '2 - Animals & Pet Supplies > Pet Supplies\r\n'
    '4 - Animals & Pet Supplies > Pet Supplies > Cat Supplies\r\n'
    '8 - Arts & Entertainment\r\n'
)


@pytest.mark.parametrize('levels', range(1, 9))
def test_a_tree_has_one_to_eight_levels(levels: int) -> None:
    names = [f'{name}{level}' for level in range(1, levels) for name in 'A'] + ['LEAF']
    data = categories.format_tree([7, 8], [names, [*names[:-1], 'B']])
    tree = categories.parse(data, path='tree.csv')
    assert tree.levels == levels
    assert tree.names[0] == tuple(names)
    assert [nodes.tolist() for nodes in tree.parents] == [[0, 0]] * (levels - 1)


@pytest.mark.parametrize(
    'data',
    [
        b'\xef\xbb\xbf' + TREE.encode(),
        TREE.encode('utf-16'),
        TREE.replace('\n', '\n\n').encode(),
        TREE.replace('\n', '\n,,,\n').encode(),
        ('\n' + TREE).encode(),
        ('sep=,\n' + TREE).encode(),
        TREE.replace('category_', '').encode(),
        TREE.replace('category_level', 'L').replace('category_id', ' Code').encode(),
        TREE.replace('category_level', 'Level ').replace('category_id', 'Category ID').encode(),
        TREE.replace('level', 'niveau-').replace('category_id', 'cat_id').encode(),
        TREE.replace('\n', ',\n').encode().replace(b'level3,', b'level3', 1),
        TREE.replace('"TOYS, GAMES"', 'TOYS# GAMES').replace(',', ';').replace('#', ',').encode(),
        TREE.replace('"TOYS, GAMES"', 'TOYS# GAMES').replace(',', '\t').replace('#', ',').encode(),
        TREE.replace('10,', '10.0,').replace('30,', ' 30 ,').encode(),
        TREE.replace('É', 'E\N{COMBINING ACUTE ACCENT}').encode(),
    ],
)
def test_the_forms_that_programs_write_are_the_same_tree(data: bytes) -> None:
    tree, written = categories.parse_file(data, path='tree.csv')
    usual = categories.parse(TREE.encode(), path='tree.csv')
    assert tree.ids.tolist() == usual.ids.tolist()
    assert tree.names == usual.names
    again = categories.parse(written, path='category_names.csv')
    assert (again.names, again.sha256) == (tree.names, tree.sha256)
    assert written.startswith(HEADER.encode())


@pytest.mark.parametrize(
    ('text', 'names'),
    [
        ('id,path\n1,A > B\n2,A > C/D > E\n', (('A', 'B'), ('A', 'C/D', 'E'))),
        ('id;Category Path\n1;A/B\n2;A / C / E\n', (('A', 'B'), ('A', 'C', 'E'))),
        ('id,name\n1,TV/Video\n2,B\n', (('TV/Video',), ('B',))),
        ('id,name\n1,A > B\n2,C\n', (('A', 'B'), ('C',))),
        (
            'id,department,category,Sub-Category,type\n1,A,B,C,D\n2,A,B,,\n',
            (('A', 'B', 'C', 'D'), ('A', 'B')),
        ),
    ],
)
def test_a_tree_has_paths_in_one_column_or_levels_with_words(
    text: str, names: tuple[tuple[str, ...], ...]
) -> None:
    tree, written = categories.parse_file(text.encode(), path='tree.csv')
    assert tree.names == names
    assert tree.ids.tolist() == [1, 2]
    assert categories.parse(written, path='category_names.csv').names == names


@pytest.mark.parametrize(
    'text',
    [
        'id,parent_id,name\n1,,A\n2,1.0,B\n3,2.0,C\n',
        'Name;ID;slug;Parent\nA;1;a;0\nB;2;b;1\nC;3;c;2\n',
        'category_id,category_name,parent_category_id\n1,A,NULL\n2,B,1\n3,C,2\n',
    ],
)
def test_a_table_of_nodes_with_parents_is_a_tree(text: str) -> None:
    tree = categories.parse(text.encode(), path='tree.csv')
    assert tree.ids.tolist() == [1, 2, 3]
    assert tree.names == (('A',), ('A', 'B'), ('A', 'B', 'C'))


def test_object_ids_are_codes_as_mongoexport_writes_them() -> None:
    rows = ('5f' * 12, f'ObjectId({"6e" * 12})')
    tree = categories.parse(f'_id,name\n{rows[0]},A\n{rows[1]},B\n'.encode(), path='tree.csv')
    assert tree.codes == ('5f' * 12, '6e' * 12)
    assert tree.find_id('6e' * 12) == tree.find_id(rows[1]) == 1


def test_googles_taxonomy_without_ids_has_its_paths_as_codes() -> None:
    text = ''.join(line.partition(' - ')[2] or line + '\n' for line in GOOGLE.splitlines(True))
    tree, written = categories.parse_file(text.encode(), path='taxonomy.txt')
    assert tree.names == categories.parse(GOOGLE.encode(), path='taxonomy.txt').names
    assert tree.codes[3] == 'Animals & Pet Supplies > Pet Supplies > Cat Supplies'
    assert tree.find('Pet Supplies > Cat Supplies') == tree.find(tree.codes[3]) == 3
    again = categories.parse(written, path='category_names.csv')
    assert (again.codes, again.names) == (tree.codes, tree.names)


@pytest.mark.parametrize('data', [TREE.encode(), TREE.replace('\n', '\r\n').encode()])
def test_the_usual_form_is_kept_byte_for_byte(data: bytes) -> None:
    tree, written = categories.parse_file(data, path='tree.csv')
    assert written == data
    assert tree.sha256 == hashlib.sha256(data).hexdigest()


def test_a_short_path_is_its_own_node_on_each_deeper_level() -> None:
    data = b'id,level1,level2,level3\n1,A,,\n2,A,B,\n3,A,B,C\n4,A,B,D\n5,A,C,E\n'
    tree, written = categories.parse_file(data, path='tree.csv')
    assert tree.names == (('A',), ('A', 'B'), ('A', 'B', 'C'), ('A', 'B', 'D'), ('A', 'C', 'E'))
    assert tree.parents[0].tolist() == [0, 0, 0, 0, 0]
    assert tree.parents[1].tolist() == [0, 1, 1, 1, 2]
    assert tree.level_names(3) == ['', '', 'C', 'D', 'E']
    assert written.splitlines()[1:3] == [b'1,A,,', b'2,A,B,']
    assert categories.parse(written, path='tree.csv').names == tree.names


@pytest.mark.parametrize('prefix', ['', '\ufeff'])
def test_each_line_of_googles_taxonomy_is_a_category(prefix: str) -> None:
    tree, written = categories.parse_file((prefix + GOOGLE).encode(), path='taxonomy.txt')
    assert tree.ids.tolist() == [1, 3237, 2, 4, 8]
    assert tree.levels == 3
    assert tree.names[3] == ('Animals & Pet Supplies', 'Pet Supplies', 'Cat Supplies')
    assert tree.parents[0].tolist() == [0, 0, 0, 0, 1]
    assert tree.parents[1].tolist() == [0, 1, 2, 2, 3]
    assert written.decode().splitlines()[:2] == [HEADER.strip(), '1,Animals & Pet Supplies,,']
    again = categories.parse(written, path='category_names.csv')
    assert (again.names, again.sha256) == (tree.names, tree.sha256)


def test_codes_are_ids_with_a_stable_number() -> None:
    data = (HEADER + 'C-7,A,B,C\n12,A,B,D\n').encode()
    tree = categories.parse(data, path='tree.csv')
    assert tree.codes == ('C-7', '12')
    assert tree.ids.tolist() == [2592492055001761869, 6325845738828342352]
    assert tree.shown_ids.tolist() == ['C-7', '12']
    assert [tree.find(int(number)) for number in tree.ids] == [0, 1]
    assert [tree.find(value) for value in ('C-7', ' C-7', '12', 12, 12.0, 'C7')] == [
        0,
        0,
        1,
        1,
        1,
        None,
    ]


@pytest.mark.parametrize(
    ('value', 'label'),
    [
        (30, 0),
        (10.0, 1),
        ('20', 2),
        (' 40.0 ', 3),
        (7, None),
        (0.5, None),
        ('VIDEO > GAMES > THE "BEST"', 2),
        ('VIDEO/GAMES/THE "BEST"', 2),
        ('TOYS, GAMES>GAMES>DICE', 1),
        ('VIDEO > E\N{COMBINING ACUTE ACCENT}CRANS > CARDS', 3),
        ('ÉCRANS > CARDS', 3),
        ('DICE', 1),
        ('CARDS', None),  # two leaves have this name
        ('GAMES > CARDS', 0),
        ('VIDEO > GAMES', None),  # not a leaf
        ('', None),
    ],
)
def test_a_category_is_found_by_id_and_by_path(value: float | str, label: int | None) -> None:
    tree = categories.parse(TREE.encode(), path='tree.csv')
    assert tree.find(value) == label


def test_a_path_is_found_where_names_contain_a_separator() -> None:
    data = (HEADER + '1,A / B,C > D,E\n2,A,B,C\n').encode()
    tree = categories.parse(data, path='tree.csv')
    assert [tree.find(text) for text in ('A / B > C > D > E', 'A/B/C/D/E', 'A _ B/C > D/E')] == [
        0
    ] * 3
    assert tree.find('A/B/C') == 1


def test_the_nearest_category_is_that_of_the_most_similar_path() -> None:
    tree = categories.parse(TREE.encode(), path='tree.csv')
    assert tree.nearest_path('video > ecrans > card') == 'VIDEO > ÉCRANS > CARDS'
    assert tree.nearest_path('??') in [tree.path_text(label) for label in range(len(tree))]


@pytest.mark.skipif(not SHARED.exists(), reason='the genuine tree is not on this machine')
def test_the_genuine_tree_has_the_known_sizes() -> None:
    tree = categories.load(str(SHARED / 'category_names.csv'))
    assert len(tree) == 5270
    assert len(set(tree.parents[0].tolist())) == 49
    assert len(set(tree.parents[1].tolist())) == 486
    assert len({names[1] for names in tree.names}) == 483
    assert len({names[2] for names in tree.names}) == 5263
    assert sum(any(n != n.strip() for n in names) for names in tree.names) == 87
    assert tree.names[0] == (
        'ABONNEMENT / SERVICES',
        'CARTE PREPAYEE',
        'CARTE PREPAYEE MULTIMEDIA',
    )
