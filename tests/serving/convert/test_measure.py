"""`python -m serving.measure`, on a SavedModel and its conversion."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from serving.measure import table
from serving.measure.result import Measurement


def test_models_are_measured_side_by_side(
    exported: Path, converted: Callable[..., Path], shards: str
) -> None:
    folders = [str(exported), str(converted('openvino'))]
    done = subprocess.run(
        [
            *(sys.executable, '-m', 'serving.measure', f'--model={",".join(folders)}'),
            *(f'--data={shards}', '--pictures=60'),
        ],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    header, _, saved_model, openvino = done.stdout.splitlines()
    for name in ('size', 'load', 'picture (batch 1)', 'FLOPs', 'memory', 'accuracy', 'lost'):
        assert name in header
    assert saved_model.startswith(folders[0])
    assert 'SavedModel fp32' in saved_model
    assert openvino.startswith(folders[1])
    assert 'openvino fp32' in openvino
    cells = [line.split()[-3:] for line in (saved_model, openvino)]
    assert cells == [[cells[0][0], '0.0', 'points']] * 2  # the same accuracy
    flops = [line.split(' M ')[0].split()[-1] for line in (saved_model, openvino)]
    assert flops[0] == flops[1]


def test_the_table_compares_the_accuracy_with_the_first_model() -> None:
    first = Measurement('SavedModel fp32', 105_000_000, 4.25, (0.05, 0.045), 7 * 10**9, 10**9, 0.7)
    second = Measurement('openvino int8', 27_000_000, 1.5, (0.013, 0.009), 7 * 10**9, 10**8, 0.69)
    lines = table.format_table(['a/1', 'b/1'], [first, second]).splitlines()
    assert lines[2].split() == [
        'a/1', 'SavedModel', 'fp32', '105.0', 'MB', '4.2', 's', '50.0', 'ms', '45.0', 'ms',
        '7,000', 'M', '1,000', 'MB', '70.0%', '0.0', 'points',
    ]  # fmt: skip
    assert lines[3].split()[-4:] == ['MB', '69.0%', '1.0', 'points']
