"""The Prometheus text of metrics.

Specification: https://prometheus.io/docs/instrumenting/exposition_formats, version 0.0.4.
"""

from collections.abc import Iterable

from serving.monitoring.metrics import Metric, Sample

CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

_ESCAPES = str.maketrans({'\\': r'\\', '"': r'\"', '\n': r'\n'})


def format_metrics(metrics: Iterable[Metric]) -> str:
    """Returns the text."""
    lines: list[str] = []
    for metric in metrics:
        lines.append(f'# HELP {metric.name} {metric.description}')
        lines.append(f'# TYPE {metric.name} {metric.kind}')
        lines.extend(map(_line, metric.samples()))
    return '\n'.join(lines) + '\n'


def _line(sample: Sample) -> str:
    labels = ','.join(
        f'{name}="{value.translate(_ESCAPES)}"' for name, value in sample.labels.items()
    )
    return f'{sample.name}{{{labels}}} {sample.value:.15g}'
