"""What Vertex AI gives to a training process: environment variables. Knows no TensorFlow.

| variable | use |
|---|---|
| `AIP_TENSORBOARD_LOG_DIR` | the folder of TensorBoard's events, which Vertex AI uploads |
| `CLOUD_ML_TRIAL_ID` | the trial of a hyperparameter tuning job: its workdir is in `trials/` |
| `CLOUD_ML_HP_METRIC_FILE` | the file that receives the metrics of a trial |
| `CLOUD_ML_JOB_ID` | marks a job of Vertex AI, which restarts after some exit codes only |

`TF_CONFIG` is read by `distribution.cluster`. `AIP_MODEL_DIR` and `AIP_CHECKPOINT_DIR` are not
used: checkpoints are in the workdir, and `trainer.export` writes models.
"""

import json
import os
import time

from catalog import storage
from catalog.errors import UserError
from trainer import naming

# SIGABRT, as a shell reports it: after this code Vertex AI starts a job again, up to three times;
# after most others, it gives the job up.
# https://cloud.google.com/vertex-ai/docs/training/understanding-training-service#common-errors
RESTART_EXIT_CODE = 134

_MOST_METRICS = 100  # as Google's cloudml-hypertune keeps


def tensorboard_folder() -> str | None:
    """Returns the folder for TensorBoard's events; None if the job has none."""
    return os.environ.get('AIP_TENSORBOARD_LOG_DIR', '').rstrip('/') or None


def workdir_of_trial(workdir: str) -> str:
    """Returns the workdir of this trial, in that of its job; outside of a trial, `workdir`.

    Raises:
      UserError: If the trial is not a number.
    """
    trial = os.environ.get('CLOUD_ML_TRIAL_ID')
    if not trial:
        return workdir
    if not trial.isdecimal():
        raise UserError(f'CLOUD_ML_TRIAL_ID must be a number, got {trial!r}')
    return storage.join(workdir, naming.trial(int(trial)))


def report_metric(name: str, value: float, *, step: int) -> None:
    """Reports a metric of a trial to Vertex AI, in the format of Google's cloudml-hypertune.

    Does nothing outside of a trial.
    """
    path = os.environ.get('CLOUD_ML_HP_METRIC_FILE')
    if not path:
        return
    lines = storage.read_bytes(path).splitlines() if storage.exists(path) else []
    metric = {
        'timestamp': time.time(),
        'trial': os.environ.get('CLOUD_ML_TRIAL_ID', '0'),
        name: str(value),
        'global_step': str(step),
    }
    lines = [*lines, json.dumps(metric).encode()][-_MOST_METRICS:]
    storage.make_folder(os.path.dirname(path) or '.')
    storage.write_bytes(path, b''.join(line + b'\n' for line in lines))


def exit_code(usual: int) -> int:
    """Returns the exit code of a run that resumes when it is started again.

    Args:
      usual: The code outside of Vertex AI.
    """
    return RESTART_EXIT_CODE if os.environ.get('CLOUD_ML_JOB_ID') else usual
