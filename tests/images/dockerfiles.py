"""The instructions of the Dockerfiles, and the requirements that they install."""

import functools
import re
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from setuptools import Distribution, distutils

ROOT = Path(__file__).resolve().parents[2]
NAMES = sorted(path.name.removesuffix('.Dockerfile') for path in ROOT.glob('docker/*.Dockerfile'))


def instructions(name: str) -> list[tuple[str, str]]:
    """The instructions of docker/NAME.Dockerfile, such as ('USER', '0'), without comments."""
    text = (ROOT / 'docker' / f'{name}.Dockerfile').read_text()
    lines = re.sub(r'^#.*\n', '', text, flags=re.MULTILINE).replace('\\\n', ' ').splitlines()
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in lines if line.strip()]


def values(name: str, instruction: str) -> list[str]:
    """The values of all instructions of a kind, in order."""
    return [value for kind, value in instructions(name) if kind == instruction]


def defaults(name: str) -> dict[str, str]:
    """The build arguments and their defaults."""
    return dict(value.split('=', 1) for value in values(name, 'ARG'))


def extras(name: str) -> list[str]:
    """The extras of setup.py that an image installs."""
    [found] = re.findall(r"""['"]\.\[(\S+)\]['"]""", '\n'.join(values(name, 'RUN')))
    for argument, default in defaults(name).items():
        found = found.replace(f'${{{argument}}}', default)
    return found.split(',')


def pins(file: str = 'constraints.txt') -> dict[str, str]:
    """The version of each package of a file of constraints, by normalized name."""
    lines = (ROOT / file).read_text().splitlines()
    return {
        normalize(name): version
        for name, separator, version in (line.partition('==') for line in lines)
        if separator
    }


def normalize(name: str) -> str:
    """A package's name as the Python Package Index compares it."""
    return re.sub(r'[-_.]+', '-', name).lower()


@functools.cache
def setup() -> Distribution:
    """What setup.py describes."""
    return distutils.core.run_setup(str(ROOT / 'setup.py'), stop_after='init')


def requirements(name: str) -> list[str]:
    """What an image installs, as setup.py says it."""
    wanted = [line for extra in extras(name) for line in setup().extras_require[extra]]
    return [*setup().install_requires, *wanted]


@functools.cache
def packages(name: str) -> frozenset[str]:
    """The packages that an image installs, by the metadata of those installed here."""
    found: set[tuple[str, str]] = set()
    waiting = [pair for line in requirements(name) for pair in _pairs(Requirement(line))]
    while waiting:
        package, extra_name = waiting.pop()
        if (package, extra_name) not in found:
            found.add((package, extra_name))
            for required in _required(package):
                if required.marker is None or required.marker.evaluate({'extra': extra_name}):
                    waiting += _pairs(required)
    return frozenset(package for package, _ in found)


def _pairs(requirement: Requirement) -> Sequence[tuple[str, str]]:
    return [(normalize(requirement.name), extra) for extra in ('', *requirement.extras)]


@functools.cache
def _required(package: str) -> list[Requirement]:
    return [Requirement(line) for line in metadata.requires(package) or []]
