"""Runs a cloudbuild.yaml on this machine, as Cloud Build runs it.

The file is read strictly as the API's message. Substitutions are filled in, nested ones too; each
step runs in its image with the source at /workspace. Steps of gcr.io/cloud-builders/docker call the
engine of this machine, and those of the Cloud SDK its `gcloud`. Steps run one after the other, in
the order of the file, which their `waitFor` must allow.

  python -m tests.images.cloud_build setup lint [_TAG=v1 ...]    # steps, and substitutions
"""

import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from google.cloud.devtools import cloudbuild_v1
from google.protobuf import json_format

from tests.images import engine as engines
from tests.images.engine import ROOT

Build = cloudbuild_v1.Build
BUILTIN = {
    'PROJECT_ID': 'my-project',
    'PROJECT_NUMBER': '1',
    'BUILD_ID': 'local',
    'LOCATION': 'global',
    'COMMIT_SHA': '',  # of a trigger only, like those below
    'SHORT_SHA': '',
    'BRANCH_NAME': '',
    'TAG_NAME': '',
}
DOCKER = 'gcr.io/cloud-builders/docker'
CLOUD_SDK = 'gcr.io/google.com/cloudsdktool/cloud-sdk'
_REFERENCE = re.compile(r'\$\$|\$\{(\w+)\}|\$([A-Z_][A-Z0-9_]*)')


def read(path: Path) -> Any:
    """Returns the message of a file.

    Raises:
      ParseError: If a field is unknown or has the wrong type.
      ValueError: If ids repeat, a step waits for none before it, or a substitution is unknown or
        not used.
    """
    build = json_format.ParseDict(yaml.safe_load(path.read_text()), Build.pb(Build()))
    ids = [step.id for step in build.steps]
    if len(ids) != len(set(ids)):
        raise ValueError(f'{path}: ids of steps must differ, got {ids}')
    for number, step in enumerate(build.steps):
        unknown = set(step.wait_for) - {'-', *ids[:number]}
        if unknown:
            raise ValueError(f'{path}: {step.id} must wait for earlier steps, got {unknown}')
    values = substitutions(build, {})
    texts = [text for step in build.steps for text in _texts(step)] + list(build.images)
    used = {name for text in [*texts, *build.substitutions.values()] for name in _names(text)}
    if used - set(values):
        raise ValueError(f'{path}: unknown substitutions {sorted(used - set(values))}')
    if set(build.substitutions) - used:
        raise ValueError(f'{path}: unused substitutions {sorted(set(build.substitutions) - used)}')
    return build


def substitutions(build: Any, given: Mapping[str, str]) -> dict[str, str]:
    """Returns the value of each substitution, with those in it filled in."""
    values = {**BUILTIN, **build.substitutions, **given}
    for _ in range(len(build.substitutions) if build.options.dynamic_substitutions else 0):
        values = {name: fill(text, values) for name, text in values.items()}
    return values


def fill(text: str, values: Mapping[str, str]) -> str:
    """Fills in the substitutions of a text; $$ is a dollar sign."""
    return _REFERENCE.sub(
        lambda found: values[found[1] or found[2]] if found[1] or found[2] else '$', text
    )


def copy_source(root: Path, folder: Path) -> Path:
    """Copies what `gcloud builds submit` uploads: the files that Git does not ignore."""
    listed = subprocess.run(
        ['git', 'ls-files', '-z', '--cached', '--others', '--exclude-standard'],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split('\0')):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(root / name, folder / name)
    return folder


def run(
    build: Any,
    *,
    only: Sequence[str],
    given: Mapping[str, str],
    docker: str,
    source: Path,
) -> None:
    """Runs steps of a build.

    Args:
      build: What `read` returned.
      only: The ids of the steps to run.
      given: Substitutions, as of --substitutions.
      docker: The program that is called for docker.
      source: The folder of the source, which the steps see as /workspace.

    Raises:
      AssertionError: If a step fails.
    """
    values = substitutions(build, given)
    for step in build.steps:
        if step.id not in only:
            continue
        name = fill(step.name, values)
        args = [fill(argument, values) for argument in step.args]
        env = [fill(one, values) for one in build.options.env]
        start = time.monotonic()
        print(f'step {step.id}: {name} {" ".join(args)[:160]}', flush=True)
        command = [*_program(step, name, docker, source, env), *args]
        code = subprocess.run(command, cwd=source / step.dir_).returncode
        assert code == 0, f'step {step.id} ended with {code}'
        print(f'step {step.id}: done in {time.monotonic() - start:.1f} s', flush=True)


def _program(step: Any, name: str, docker: str, source: Path, env: Sequence[str]) -> list[str]:
    entrypoint = [step.entrypoint] if step.entrypoint else []
    if name == DOCKER:
        return entrypoint or [docker]
    if name.startswith(CLOUD_SDK):
        return entrypoint
    return [
        *(docker, 'run', '--rm', '--network=host', f'--volume={source}:/workspace'),
        *(f'--workdir=/workspace/{step.dir_}', *(f'--env={one}' for one in env)),
        *(f'--entrypoint={one}' for one in entrypoint),
        name,
    ]


def _texts(step: Any) -> list[str]:
    return [step.name, step.dir_, step.entrypoint, step.script, *step.args, *step.env]


def _names(text: str) -> set[str]:
    return {found[1] or found[2] for found in _REFERENCE.finditer(text)} - {None}


def main(arguments: Sequence[str]) -> None:
    """Runs steps with a copy of the source."""
    build = read(ROOT / 'cloudbuild.yaml')
    only = [argument for argument in arguments if '=' not in argument]
    unknown = set(only) - {step.id for step in build.steps}
    if unknown or not only:
        sys.exit(f'error: arguments must be ids of steps, got {sorted(unknown) or "none"}')
    engine = engines.find()
    if engine is None:
        sys.exit('error: docker or podman must work here; CONTAINER_ENGINE names another program')
    given = dict(argument.split('=', 1) for argument in arguments if '=' in argument)
    with tempfile.TemporaryDirectory() as folder:
        source = copy_source(ROOT, Path(folder))
        run(build, only=only, given=given, docker=engine.command, source=source)


if __name__ == '__main__':
    main(sys.argv[1:])
