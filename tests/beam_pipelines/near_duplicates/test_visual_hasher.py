"""Each content is hashed once, and all pictures with it have its visual hash."""

import numpy as np

from beam_pipelines.near_duplicates import visual_hash
from beam_pipelines.near_duplicates.visual_hasher import VisualHasher
from beam_pipelines.scan import pictures
from beam_pipelines.table import empty
from tests.beam_pipelines.near_duplicates import copies


def test_repeated_contents_have_the_hash_of_the_first_also_in_later_batches() -> None:
    drawn = [copies.draw(number) for number in range(4)]
    blank = copies.draw(0)[:200]  # cannot be decoded
    hasher = VisualHasher()
    for batch in ([0, 1, 0, None, 2], [2, None, 3, 1, 3]):
        contents = [blank if number is None else drawn[number] for number in batch]
        rows = empty(len(batch))
        rows['product_id'] = np.arange(len(batch)) + 10
        rows['hash_high'], rows['hash_low'] = pictures.hashes128(iter(contents)).T
        lengths = np.array([len(content) for content in contents])
        places = np.stack([np.cumsum(lengths) - lengths, lengths], axis=1)
        # Without the bytes of a repeated content, it cannot be decoded again.
        first = [number for number, which in enumerate(batch) if which not in batch[:number]]
        if batch[0] == 2:
            first = [2]
        places[[n for n in range(len(batch)) if n not in first], 1] = 0
        found = hasher.hash_rows(b''.join(contents), places, rows)
        kept = [number for number, which in enumerate(batch) if which is not None]
        assert found['product_id'].tolist() == [10 + number for number in kept]
        for row, number in zip(found, kept, strict=True):
            whole = np.array([[0, len(contents[number])]])
            _, (alone,) = visual_hash.hash_pictures(contents[number], whole, np.zeros(1, np.uint8))
            for name in visual_hash.HASH.names or ():
                assert row[name] == alone[name]
