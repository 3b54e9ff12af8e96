"""Text from outside cannot control a terminal."""

import os

import pytest

from catalog import command_line, terminal


def test_control_characters_are_escaped() -> None:
    assert terminal.escape('a\x1b[31mb\x07\r\x9b\u202ec\x7f') == r'a\x1b[31mb\x07\r\x9b\u202ec\x7f'
    assert terminal.escape(os.fsdecode(b'\xff.jpg')) == r'\udcff.jpg'
    marks = [*range(0x202A, 0x202F), *range(0x2066, 0x206A)]
    assert terminal.escape(''.join(map(chr, marks))) == ''.join(f'\\u{mark:04x}' for mark in marks)
    kept = 'Prêt-à-porter > 靴\tשלום\n'
    assert terminal.escape(kept) == kept


def test_an_error_is_one_line_of_printable_characters(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit):
        command_line.exit_with_error('DIR/\x1b]0;title\x07\udcff: must\nbe')
    assert capsys.readouterr().err == 'error: DIR/\\x1b]0;title\\x07\\udcff: must be\n'
