"""Rows of one tree's nodes as those of another tree, on literals."""

import numpy as np

from catalog import categories
from trainer.start.class_rows import map_rows, nodes

BEFORE = [(10, 'A > x'), (20, 'A > y'), (30, 'B > z'), (40, 'B > w')]
WEIGHT = np.array([[1.0, 2.0, 4.0, 8.0], [0.1, 0.2, 0.3, 0.4]], np.float32)  # [features, rows]


def _tree(rows: list[tuple[int, str]]) -> categories.Categories:
    paths = [path.split(' > ') for _, path in rows]
    data = categories.format_tree([number for number, _ in rows], paths)
    return categories.parse(data, path='category_names.csv')


def _mapped(after: list[tuple[int, str]], *, level: int = 0) -> tuple[list[float], str]:
    """The first feature of the rows of another tree, and how many are kept, new and dropped."""
    rows = map_rows(nodes(_tree(BEFORE), level), nodes(_tree(after), level))
    return rows.apply(WEIGHT[:, : len(nodes(_tree(BEFORE), level).keys)])[0].tolist(), rows.counts


def test_rows_follow_the_id_of_their_category_wherever_its_row_is() -> None:
    moved = [(40, 'B > w'), (20, 'A > y'), (10, 'C > renamed'), (30, 'B > z')]
    assert _mapped(moved) == ([8, 2, 1, 4], '4 kept, 0 new, 0 dropped')


def test_a_new_leaf_is_the_mean_below_its_parent_and_a_vanished_one_is_dropped() -> None:
    after = [(50, 'A > new'), *BEFORE[:3]]
    assert _mapped(after) == ([1.5, 1, 2, 4], '3 kept, 1 new, 1 dropped')


def test_a_new_leaf_without_known_siblings_is_the_mean_below_the_nearest_known_ancestor() -> None:
    deep = [*BEFORE, (50, 'B > new > a'), (60, 'C > new'), (70, 'B > z > part')]
    assert _mapped(deep)[0] == [1, 2, 4, 8, 6, 3.75, 4]


def test_a_known_leaf_counts_where_it_is_now_and_a_vanished_one_where_it_was() -> None:
    # y moved to B, z was divided, and A and B are all that the new leaves know.
    after = [(10, 'A > x'), (20, 'B > y'), (40, 'B > w'), (50, 'B > z1'), (60, 'A > new')]
    assert _mapped(after)[0] == [1, 2, 8, np.float32((2 + 4 + 8) / 3), 1]


def test_nodes_above_the_leaves_are_known_by_their_path() -> None:
    after = [(1, 'B > p'), (2, 'C > q'), (3, 'A > r')]
    assert _mapped(after, level=1) == ([2, 1.5, 1], '2 kept, 1 new, 0 dropped')


def test_known_rows_are_copied_bit_for_bit() -> None:
    tree = nodes(_tree(BEFORE), 0)
    assert map_rows(tree, tree).apply(WEIGHT).tobytes() == WEIGHT.tobytes()


def test_codes_are_the_same_categories_in_both_trees() -> None:
    def tree(*codes: str) -> categories.Categories:
        data = categories.format_tree(codes, [['A', code] for code in codes])
        return categories.parse(data, path='category_names.csv')

    rows = map_rows(nodes(tree('shoe', 'sock'), 0), nodes(tree('sock', 'hat', 'shoe'), 0))
    assert rows.same.tolist() == [1, -1, 0]
