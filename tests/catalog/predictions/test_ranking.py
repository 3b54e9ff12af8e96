"""The labels of the largest probabilities, compared with sorting all of them."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from catalog.predictions import ranking


@given(
    st.lists(st.lists(st.integers(0, 3), min_size=6, max_size=6), min_size=1, max_size=3),
    st.integers(1, 6),
)
def test_the_largest_come_first_and_of_equal_ones_the_lower_label(
    rows: list[list[int]], count: int
) -> None:
    probabilities = np.array(rows, np.float32) / 3
    expected = [sorted(range(6), key=lambda label: (-row[label], label))[:count] for row in rows]
    assert ranking.top_labels(probabilities, count).tolist() == expected
