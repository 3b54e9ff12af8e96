"""The examples of docs/clients.md run as they stand, apart from addresses and names."""

import re
from pathlib import Path

import pytest

from tests.serving.colours import BLUE, RED, jpeg
from tests.serving.running import ROOT, RunningServer

TEXT = (ROOT / 'docs' / 'clients.md').read_text()
EXAMPLES = re.findall(r'```python\n(.*?)```\n```\n(.*?)```', TEXT, flags=re.DOTALL)


@pytest.mark.parametrize(('code', 'printed'), EXAMPLES)
def test_an_example_runs(
    code: str,
    printed: str,
    server: RunningServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    photos = tmp_path / 'run' / 'sample' / 'photos'
    photos.mkdir(parents=True)
    for number in re.findall(r'product-(\d+)\.jpg', TEXT):
        (photos / f'product-{number}.jpg').write_bytes(jpeg(BLUE if number == '9' else RED))
    monkeypatch.chdir(tmp_path)
    for old, new in [
        ('127.0.0.1:8500', server.grpc),
        ('127.0.0.1:8501', server.rest),
        ('product_categories', 'colours'),
        ('deadline_seconds=2', 'deadline_seconds=60'),
    ]:
        code = code.replace(old, new)
    exec(compile(code, 'clients.md', 'exec'), {})
    found = capsys.readouterr().out
    assert len(found.splitlines()) == len(printed.splitlines())
    assert found.split()[0].count('%') == printed.split()[0].count('%')
    assert ('INVALID_ARGUMENT | ' in found) == ('INVALID_ARGUMENT | ' in printed)


def test_there_are_examples() -> None:
    assert len(EXAMPLES) == 3
