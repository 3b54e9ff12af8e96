"""Where the metrics are: the MonitoringConfig file."""

from catalog.errors import UserError
from serving.config import text_file
from serving.config.messages import MonitoringConfig

DEFAULT_PATH = '/monitoring/prometheus/metrics'


def read(path: str) -> str | None:
    """Reads a MonitoringConfig file; returns the HTTP path of the metrics, None if disabled.

    Raises:
      UserError: If the file is invalid.
    """
    prometheus = text_file.read(path, MonitoringConfig()).prometheus_config
    if not prometheus.enable:
        return None
    metrics_path: str = prometheus.path or DEFAULT_PATH
    if not metrics_path.startswith('/') or metrics_path.startswith('/v1/'):
        raise UserError(
            f'{path}: path must begin with / and not with /v1/, where the models are, '
            f'got {metrics_path!r}'
        )
    return metrics_path
