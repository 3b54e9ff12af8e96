"""The packages stand on floors, and so do the rooms within a package: imports only go down.

A room is a folder of a package, or a module directly in it. To add or change a room, edit its row
in `ROOMS`: `'room': 'rooms it may import'`, above every room that it imports (docs/design.md).
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = {
    'catalog': {'catalog'},
    'beam_pipelines': {'beam_pipelines', 'catalog'},
    'trainer': {'trainer', 'catalog'},
    'serving': {'serving', 'catalog'},
    'configs': {'configs', 'trainer', 'catalog'},
}
ROOMS = {
    'catalog': {
        'shard_reader': 'errors formats record storage',
        'samples': 'categories command_line errors formats process schema storage',
        'download': 'command_line errors process sources storage',
        'source_flags': 'inputs photos schema sources',
        'inputs': 'categories errors formats listings photos product_key schema sources storage',
        'predictions': 'categories errors formats model_folders pixels product_key storage',
        'model_folders': 'categories digests errors local_copies storage',
        'local_copies': 'errors manifest object_store process storage',
        'networks': 'errors storage typed_json',
        'sources': 'categories errors formats listings object_store photos process product_key'
        ' schema shards storage terminal',
        'listings': 'categories errors photos product_key schema storage terminal',
        'schema': 'errors formats product_key shards',
        'photos': 'categories errors formats storage terminal trees',
        'manifest': 'categories errors shards storage typed_json',
        'atomic_folder': 'errors object_store storage',
        'digests': 'errors object_store storage',
        'categories': 'errors formats storage trees',
        'trees': 'errors product_key terminal',
        'process': 'errors object_store storage terminal',
        'model_versions': 'errors',
        'command_line': 'errors object_store storage terminal',
        'product_key': 'errors storage',
        'storage': 'errors object_store stores',
        'object_store': 'stores',
        'stores': 'errors',
        'typed_json': 'errors',
        'pixels': 'formats',
        'record': 'formats',
        'shards': '',
        'terminal': '',
        'formats': '',
        'errors': '',
    },
    'beam_pipelines': {
        'template': 'shard',
        'shard': 'dataflow local options pipeline scan summary write',
        'predict': 'dataflow inference ledger local scan write',
        'pipeline': 'ledger local near_duplicates options packing plan scan table write',
        'summary': 'ledger write',
        'write': 'ledger options packing plan scan table',
        'plan': 'ledger options table',
        'scan': 'ledger near_duplicates packing table',
        'near_duplicates': 'table',
        'local': 'dataflow',
        'dataflow': '',
        'inference': '',
        'ledger': '',
        'packing': 'table',
        'table': '',
        'options': '',
    },
    'trainer': {
        'predict': 'export startup',
        'summary': 'config evaluate metrics naming report workdir',
        'submit': 'config distribution naming report tune',
        'task': 'config data distribution metrics naming startup training vertex_environment',
        'tune': 'config data distribution metrics naming report startup training',
        'ensemble': 'data inference metrics naming report startup undecodable',
        'evaluate': 'data distribution inference metrics naming report startup undecodable',
        'export': 'config data inference losses metrics naming startup workdir',
        'features': 'config data distribution inference models startup undecodable',
        'tau_norm': 'data inference metrics models naming optim startup undecodable workdir',
        'training': 'augmentation config data distribution inference losses metrics models'
        ' monitoring naming optim start undecodable workdir',
        'start': 'data inference models workdir',
        'augmentation': 'config losses',
        'inference': 'config data distribution metrics models naming optim undecodable workdir',
        'lite0_weights': 'lite_weights',
        'lite_weights': 'config models',
        'losses': 'config data',
        'optim': 'config models',
        'monitoring': 'config naming vertex_environment workdir',
        'workdir': 'config data naming',
        'distribution': 'config data startup',
        'data': 'config epochs pixels undecodable',
        'epochs': '',
        'pixels': '',
        'models': 'config',
        'report': 'metrics',
        'config': '',
        'metrics': '',
        'undecodable': '',
        'vertex_environment': 'naming',
        'naming': '',
        'startup': '',
    },
    'serving': {
        'demo': 'listening similar',
        'web': 'listening',
        'measure': 'convert runtimes shard_pictures',
        'convert': 'runtimes shard_pictures',
        'index': 'protocol runtimes similar',
        'gateway': 'backends clients intake listening observation operations protocol similar'
        ' transports',
        'model_server': 'batching config protocol server',
        'query': 'clients protocol',
        'server': 'batching config listening models monitoring protocol rest runtimes',
        'rest': 'batching listening models monitoring protocol rest_json runtimes',
        'models': 'batching config monitoring protocol runtimes',
        'intake': 'observation operations protocol',
        'backends': 'clients operations protocol runtimes transports',
        'observation': '',
        'batching': 'config monitoring protocol runtimes',
        'monitoring': 'protocol',
        'config': '',
        'rest_json': 'protocol',
        'runtimes': 'protocol',
        'shard_pictures': '',
        'clients': 'operations protocol transports',
        'transports': 'operations protocol',
        'operations': 'protocol',
        'similar': '',
        'listening': '',
        'protocol': '',
    },
}
MAX_FILES_IN_A_ROOM = 12
MAX_FILES_AT_THE_TOP = {'catalog': 13, 'beam_pipelines': 12, 'trainer': 8, 'serving': 1}
HEAVY = {'apache_beam', 'tensorflow', 'keras'}
LOADS_TENSORFLOW = ROOT / 'beam_pipelines' / 'inference' / 'saved_model.py'


def imported(path: Path) -> Iterator[str]:
    """Yields the dotted names that a file imports, also within functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f'{path}: relative import'
            yield from (f'{node.module}.{alias.name}' for alias in node.names)


def imported_packages(path: Path) -> set[str]:
    return {name.split('.')[0] for name in imported(path)}


def files_of(package: str) -> dict[str, list[Path]]:
    """The files of each room of a package."""
    rooms: dict[str, list[Path]] = {}
    for path in sorted((ROOT / package).rglob('*.py')):
        rooms.setdefault(path.relative_to(ROOT / package).parts[0].removesuffix('.py'), []).append(
            path
        )
    del rooms['__init__']
    return rooms


def folders_of(package: str) -> dict[str, list[Path]]:
    """The files of each room that is a folder."""
    return {
        room: files
        for room, files in files_of(package).items()
        if files[0].parent != ROOT / package
    }


@pytest.mark.parametrize('package', PACKAGES)
def test_a_package_imports_only_from_its_floor_and_below(package: str) -> None:
    files = sorted((ROOT / package).rglob('*.py'))
    assert files
    for path in files:
        above = imported_packages(path) & set(PACKAGES) - PACKAGES[package]
        assert not above, f'{path} imports {above}'


@pytest.mark.parametrize('package', ROOMS)
def test_each_room_has_a_row(package: str) -> None:
    assert sorted(ROOMS[package]) == sorted(files_of(package))


@pytest.mark.parametrize('package', ROOMS)
def test_a_row_names_only_rooms_below_it(package: str) -> None:
    rows = list(ROOMS[package])
    for number, row in enumerate(rows):
        not_below = set(ROOMS[package][row].split()) - set(rows[number + 1 :])
        assert not not_below, f'{package}.{row}: move its row above {not_below}'


@pytest.mark.parametrize('package', ROOMS)
def test_a_room_imports_only_the_rooms_in_its_row(package: str) -> None:
    for room, files in files_of(package).items():
        allowed = {room, *ROOMS[package][room].split()}
        for path in files:
            for name in imported(path):
                top, _, rest = name.partition('.')
                target = rest.split('.')[0]
                if top == package:
                    assert target in allowed, f'{path.relative_to(ROOT)} imports {name}'


@pytest.mark.parametrize('package', ROOMS)
def test_no_room_imports_the_command_of_another(package: str) -> None:
    for room, files in files_of(package).items():
        for path in files:
            for name in imported(path):
                parts = name.split('.')
                if parts[0] in ROOMS and '__main__' in parts:
                    assert parts[:2] == [package, room], f'{path.relative_to(ROOT)} imports {name}'


@pytest.mark.parametrize('package', ROOMS)
def test_a_room_has_at_most_a_dozen_files(package: str) -> None:
    for room, files in folders_of(package).items():
        assert len(files) <= MAX_FILES_IN_A_ROOM, f'{package}/{room} has {len(files)} files'


@pytest.mark.parametrize('package', ROOMS)
def test_the_first_line_of_a_room_says_what_it_owns(package: str) -> None:
    for room in folders_of(package):
        text = (ROOT / package / room / '__init__.py').read_text()
        line, *rest = (ast.get_docstring(ast.parse(text)) or '').split('\n', maxsplit=2)
        described = len(line.split()) > 2 and line.endswith('.') and rest[:1] in ([], [''])
        assert described, (
            f'{package}/{room}/__init__.py: the first line must be a sentence, got {line!r}'
        )


@pytest.mark.parametrize('package', MAX_FILES_AT_THE_TOP)
def test_few_files_are_at_the_top_of_a_package(package: str) -> None:
    files = sorted(path.name for path in (ROOT / package).glob('*.py'))
    assert len(files) <= MAX_FILES_AT_THE_TOP[package], files


@pytest.mark.parametrize('package', ['catalog', 'beam_pipelines'])
def test_catalog_and_the_shard_job_import_no_tensorflow(package: str) -> None:
    allowed = {'apache_beam'} if package == 'beam_pipelines' else set()
    for path in sorted((ROOT / package).rglob('*.py')):
        if path != LOADS_TENSORFLOW:
            assert not imported_packages(path) & HEAVY - allowed, path


@pytest.mark.parametrize(
    ('module', 'absent'),
    [
        ('beam_pipelines.shard', {'tensorflow', 'keras'}),
        ('beam_pipelines.predict.__main__', {'tensorflow', 'keras'}),
        ('catalog.manifest', HEAVY),
        ('serving.query.__main__', HEAVY | {'tensorflow_serving'}),
        ('serving.gateway.__main__', HEAVY | {'tensorflow_serving'}),
        ('serving.similar.published_index', HEAVY | {'tensorflow_serving'}),
    ],
)
def test_importing_a_light_module_loads_no_heavy_library(module: str, absent: set[str]) -> None:
    code = f'import sys, {module}; print(*sorted({{n.split(".")[0] for n in sys.modules}}))'
    done = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert not absent & set(done.stdout.split())
