r"""Search space for configs/tiny.py: optimizer, learning rate, dropout, label smoothing.

python -m trainer.tune --config=configs/tiny.py --space=configs/spaces/tiny.py --data=DIR \
  --output=DIR --trials=20 --config.validation.every_steps=300 --config.total_steps=900
"""

from trainer.tune import Choice, Range, Space


def get_space() -> Space:
    """Returns the values to search of each field."""
    return {
        'optimizer.name': Choice(('adamw', 'nadam')),
        'optimizer.learning_rate': Range(3e-4, 3e-2, log=True),
        'model.dropout': Range(0.0, 0.5, step=0.1),
        'loss.label_smoothing': Choice((0.0, 0.05, 0.1)),
    }
