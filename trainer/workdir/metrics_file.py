"""Reads `workdir/metrics.jsonl`, which `trainer.monitoring` writes. Uses no TensorFlow."""

import json

from catalog import storage
from trainer import naming


def read_metrics(workdir: str) -> list[dict[str, float]]:
    """Reads the logged steps of a run, in order; an empty list if there are none."""
    try:
        text = storage.read_bytes(storage.join(workdir, naming.METRICS)).decode()
    except FileNotFoundError:
        return []
    # A run that was killed may have left an incomplete line.
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith('\n')]
