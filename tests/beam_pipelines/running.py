"""Runs the shard job and reads what it wrote."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from beam_pipelines.local import runner
from beam_pipelines.options import ShardOptions
from beam_pipelines.pipeline import job
from beam_pipelines.scan.pseudo_labels import PseudoLabels
from beam_pipelines.write import commit
from catalog import categories, record
from catalog.formats import tfrecord
from catalog.sources import opening

SHARED = Path(__file__).resolve().parents[2].parent / 'shared' / 'data'


def run_job(
    source: Path | str | Sequence[str],
    tree: Path | None,
    output: Path | str,
    *,
    beam: Sequence[str] = (),
    range_bytes: int = 1 << 20,
    resume: bool = False,
    pseudo_labels: PseudoLabels | None = None,
    **options: object,
) -> None:
    """Runs the shard job in this process."""
    loaded, tree_bytes = None, None
    if tree:
        loaded, tree_bytes = categories.parse_file(tree.read_bytes(), path=str(tree))
    inputs = [str(source)] if isinstance(source, Path | str) else source
    opened = opening.open_source(inputs, tree=loaded)
    commit.prepare(str(output), resume=resume, overwrite=False)
    if pseudo_labels:
        options |= {
            'pseudo_labels': pseudo_labels.sha256,
            'pseudo_threshold': pseudo_labels.threshold,
        }
    described = job.Job(
        source=opened,
        categories=loaded,
        category_bytes=tree_bytes,
        options=ShardOptions(**options),
        output=str(output),
        range_bytes=range_bytes,
        pseudo_labels=pseudo_labels,
    )
    runner.run(lambda p: job.build(p, described), beam, input_bytes=opened.total_bytes())


def run_command(*arguments: str) -> subprocess.CompletedProcess:
    """Runs the command line of the shard job."""
    return subprocess.run(
        [sys.executable, '-m', 'beam_pipelines.shard', *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def read_split(folder: Path, split: str) -> list[list[record.Record]]:
    """Returns the records of each shard of a split."""
    manifest = json.loads((folder / 'manifest.json').read_text())
    shards = []
    for shard in manifest['splits'][split]['shards']:
        with (folder / shard['file']).open('rb') as file:
            shards.append([record.decode(data) for data in tfrecord.read(file)])
    return shards


def files(folder: Path) -> dict[str, bytes]:
    """Returns every file below a folder, by relative name."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in walk(folder)}


def walk(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob('*')) if path.is_file())
