"""The house has three floors, and imports go only downwards (docs/design.md)."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MAY_IMPORT = {
    'catalog': {'catalog'},
    'beam_pipelines': {'beam_pipelines', 'catalog'},
    'trainer': {'trainer', 'catalog'},
    'serving': {'serving', 'catalog'},
    'configs': {'configs', 'trainer', 'catalog'},
}
HEAVY = {'apache_beam', 'tensorflow', 'keras'}


def imported(path: Path) -> set[str]:
    """The top-level packages that a file imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name.split('.')[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f'{path}: relative import'
            names.add((node.module or '').split('.')[0])
    return names


@pytest.mark.parametrize('package', MAY_IMPORT)
def test_a_package_imports_only_from_its_floor_and_below(package: str) -> None:
    files = sorted((ROOT / package).rglob('*.py'))
    assert files
    for path in files:
        above = imported(path) & set(MAY_IMPORT) - MAY_IMPORT[package]
        assert not above, f'{path} imports {above}'


@pytest.mark.parametrize('package', ['catalog', 'beam_pipelines'])
def test_the_ground_floor_and_the_shard_job_name_no_tensorflow(package: str) -> None:
    allowed = {'apache_beam'} if package == 'beam_pipelines' else set()
    for path in sorted((ROOT / package).rglob('*.py')):
        assert not imported(path) & HEAVY - allowed, path


@pytest.mark.parametrize(
    ('module', 'absent'),
    [
        ('beam_pipelines.shard', {'tensorflow', 'keras'}),
        ('catalog.manifest', HEAVY),
        ('serving.query', HEAVY | {'tensorflow_serving'}),
    ],
)
def test_importing_a_light_door_loads_no_heavy_library(module: str, absent: set[str]) -> None:
    code = f'import sys, {module}; print(*sorted({{n.split(".")[0] for n in sys.modules}}))'
    done = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert not absent & set(done.stdout.split())
