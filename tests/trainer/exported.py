"""Exports a model of a few training steps."""

import json
from pathlib import Path

from trainer.config import InputConfig, ModelConfig, OptimizerConfig, TrainConfig
from trainer.data import data_set
from trainer.export import saved_model
from trainer.training import loop


def export_model(
    data_folder: str, folder: Path, *, size: int = 28, seed: int = 0, version: int = 1
) -> Path:
    """Trains a small network and exports it, calibrated. Returns the version folder."""
    workdir = folder / f'workdir-{version}'
    config = TrainConfig(
        seed=seed,
        batch_size=8,
        total_steps=12,
        model=ModelConfig(channels=4),
        input=InputConfig(height=size, width=size),
        optimizer=OptimizerConfig(learning_rate=0.01),
    )
    loop.train(config, data_set.open_data_set(data_folder), str(workdir))
    (workdir / 'report').mkdir()
    temperature = {'picture': 1.5, 'product': 0.8, 'fitted_on': 'validation', 'fitted_products': 9}
    document = {'step': 12, 'temperature': temperature}
    (workdir / 'report' / 'evaluation.json').write_text(json.dumps(document))
    output = folder / 'models' / str(version)
    saved_model.export(workdir=str(workdir), output=str(output), top_k=4, threshold=0.5)
    return output
