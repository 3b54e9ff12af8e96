"""The config flags in the documentation: each example is a valid config."""

import re
import shlex
from pathlib import Path

import pytest

from trainer.config import files

ROOT = Path(__file__).parents[3]
DOCUMENTS = [ROOT / 'README.md', *sorted((ROOT / 'docs').glob('*.md'))]

FOLDERS = (
    'beam_pipelines',
    'benchmarks',
    'catalog',
    'configs',
    'docs',
    'serving',
    'tests',
    'trainer',
)


def _examples(text: str) -> list[list[str]]:
    """Returns the arguments of each command and each code span with `--config.` flags."""
    fence = r'^ *```\w*\n(.*?)^ *```'
    text = text.replace('\\\n', ' ')
    blocks = re.findall(fence, text, re.DOTALL | re.MULTILINE)
    commands = [part for block in blocks for part in re.split(r'^(?=python )', block, flags=re.M)]
    spans = re.findall(r'`([^`]*)`', re.sub(fence, '', text, flags=re.DOTALL | re.MULTILINE))
    return [shlex.split(example) for example in commands + spans if '--config.' in example]


@pytest.mark.parametrize('path', DOCUMENTS, ids=lambda path: path.name)
def test_the_flags_in_the_documentation_are_valid(path: Path) -> None:
    for arguments in _examples(path.read_text()):
        configs = [a.removeprefix('--config=') for a in arguments if a.startswith('--config=')]
        config = ROOT / (configs or ['configs/tiny.py'])[0]
        flags = [a.removeprefix('--config.') for a in arguments if a.startswith('--config.')]
        assert files.load(str(config), flags), arguments


def test_the_tables_of_losses_and_augmentations_show_flags() -> None:
    examples = _examples((ROOT / 'docs' / 'losses.md').read_text())
    assert len(examples) >= 25
    shown = {flag.split('=')[0] for arguments in examples for flag in arguments}
    for name in ('loss.name', 'loss.levels', 'augment.mixup', 'augment.crop', 'start.workdir'):
        assert f'--config.{name}' in shown


@pytest.mark.parametrize('path', DOCUMENTS, ids=lambda path: path.name)
def test_the_files_of_this_repository_that_the_documentation_names_exist(path: Path) -> None:
    for name in re.findall(r'`([\w.-]+/[\w./-]+)`', path.read_text()):
        if name.split('/')[0] in FOLDERS:
            assert (ROOT / name).exists(), name
