"""What a run without a terminal prints about itself."""

import dataclasses
import re
from pathlib import Path

import pytest

from trainer.config import (
    InputConfig,
    ModelConfig,
    OptimizerConfig,
    ScheduleConfig,
    TrainConfig,
    ValidationConfig,
)
from trainer.data.data_set import open_data_set
from trainer.training.loop import train

CONFIG = TrainConfig(
    batch_size=16,
    total_steps=8,
    log_every_steps=4,
    checkpoint_every_steps=8,
    model=ModelConfig(channels=2),
    input=InputConfig(height=28, width=28),
    optimizer=OptimizerConfig(learning_rate=0.01, schedule=ScheduleConfig(name='cosine')),
    validation=ValidationConfig(every_steps=8),
)


def test_a_run_says_what_it_logs_saves_and_resumes(
    data_folder: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    data = open_data_set(data_folder)
    train(CONFIG, data, str(tmp_path))
    lines = capsys.readouterr().err.splitlines()
    values = r'[\d,.]+/s, \d+s left [\d,]+ pictures/s, loss \d+\.\d{4}, accuracy \d\.\d{4}'
    patterns = [
        rf'training: starting at step 0 of 8 in {re.escape(str(tmp_path))}',
        rf'training:  50% 4/8 steps, {values}',
        rf'training: 100% 8/8 steps, {values}, validation_accuracy \d\.\d{{4}}, .*macro_f1 .*',
        r'training: saved the best weights, those of step 8, in \d+\.\ds',
        r'training: saved the checkpoint of step 8 in \d+\.\ds',
    ]
    assert len(lines) == len(patterns), lines
    for pattern, line in zip(patterns, lines, strict=True):
        assert re.fullmatch(pattern, line), line

    train(dataclasses.replace(CONFIG, total_steps=16), data, str(tmp_path))
    resumed, stretched, *_ = capsys.readouterr().err.splitlines()
    assert resumed == f'training: resumed from the checkpoint of step 8 of 16 in {tmp_path}'
    assert stretched == (
        'training: total_steps was 8 and now is 16: the learning rate of step 9 moves from 0 to '
        '0.005, and ends at 0 after step 16 (schedule cosine)'
    )
