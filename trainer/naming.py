"""The name of every file and folder that the trainer writes: workdir, report, export."""

from catalog.model_folders import version_folder

# workdir/
CONFIG = 'config.json'
DATA = 'data.json'
METRICS = 'metrics.jsonl'
TENSORBOARD = 'tensorboard'
CHECKPOINTS = 'checkpoints'
BEST = 'best'  # a workdir of its own, holding one checkpoint
TRIALS = 'trials'
TAU_NORM = 'tau_norm.json'
ENSEMBLE = 'ensemble.json'

# workdir/report/
REPORT = 'report'
EVALUATION = 'evaluation.json'
EVALUATION_PAGE = 'evaluation.html'
PREDICTIONS = 'predictions.parquet'
LABEL_ERRORS = 'suspects.csv'

# export
SAVED_MODEL = version_folder.SAVED_MODEL
MODEL_CARD = version_folder.MODEL_CARD


def trial(number: int) -> str:
    """Returns the workdir of a trial, in the folder of its search."""
    return f'{TRIALS}/{number:05d}'
