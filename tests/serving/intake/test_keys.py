"""Files of API keys."""

import hashlib
import threading
from pathlib import Path

import pytest

from catalog.errors import UserError
from serving.intake import keys
from tests.serving.slow_requests import wait_for


def test_a_key_is_known_whether_its_file_has_it_plain_or_hashed(tmp_path: Path) -> None:
    digest = hashlib.sha256(b'second-key-0123456').hexdigest().upper()
    (tmp_path / 'keys').write_text(f'# a\nshop first-key-0123456\n\npage sha256:{digest}\n')
    found = keys.read(str(tmp_path / 'keys'))
    assert found.owner('first-key-0123456') == 'shop'
    assert found.owner('second-key-0123456') == 'page'
    for unknown in ('', 'first-key-012345', digest, f'sha256:{digest}', '\udcff'):
        assert found.owner(unknown) is None


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('', 'must have a line with a name and a key, got none'),
        ('# only a comment\n', 'must have a line with a name and a key, got none'),
        ('shop secret\n', 'line 1: must be a name and a key of at least 16 characters, got 6'),
        ('a-key-without-its-name\n', 'line 1: must be a name and a key'),
        ('shop sha256:12ab\n', 'line 1: sha256: must be followed by 64 hexadecimal digits'),
        (f'a {"k" * 16}\na {"l" * 16}\n', "line 2: a name must be there once, got 'a' again"),
    ],
)
def test_a_wrong_line_is_an_error_that_never_shows_the_key(
    tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / 'keys').write_text(text)
    with pytest.raises(UserError) as caught:
        keys.read(str(tmp_path / 'keys'))
    assert message in str(caught.value)
    assert 'secret' not in str(caught.value)
    assert 'kkkk' not in str(caught.value)


def test_a_changed_file_replaces_the_keys_and_a_wrong_one_does_not(tmp_path: Path) -> None:
    file, lines, stop = tmp_path / 'keys', [], threading.Event()
    file.write_text('shop first-key-0123456\n')
    found = keys.KeyFile(str(file), report=lines.append)
    watch = threading.Thread(target=found.watch, args=[0.01], kwargs={'until': stop})
    watch.start()
    try:
        file.write_text('shop first-key-0123456\nshop-new second-key-0123456\n')
        wait_for(lambda: found.owner('second-key-0123456') == 'shop-new')
        assert found.owner('first-key-0123456') == 'shop'  # both, while clients change theirs
        file.write_text('shop short\n')
        wait_for(lambda: len(lines) == 2)
        file.unlink()
        wait_for(lambda: len(lines) == 3)
        assert found.owner('first-key-0123456') == 'shop'
        file.write_text('shop-new second-key-0123456\n')
        wait_for(lambda: found.owner('first-key-0123456') is None)
    finally:
        stop.set()
        watch.join()
    assert lines[0] == 'the API keys have changed: shop, shop-new'
    assert lines[1].startswith('the API keys are not changed: ')
    assert 'short' not in lines[1]
    assert lines[3] == 'the API keys have changed: shop-new'
