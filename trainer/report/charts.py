"""Charts of the reports, as PNG bytes. Keeps no global state of Matplotlib."""

import io
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from trainer.metrics.calibration import Reliability
from trainer.metrics.coverage import Coverage, CoverageCurve
from trainer.metrics.roc_auc import RocCurve

INK = '#1f2933'
MUTED = '#7b8794'
PALE = '#c3ccd6'
ACCENT = '#2b6c8f'
GRID = '#e4e7eb'

MAX_NAMED_CLASSES = 40  # more names cannot be read in a chart
_MAX_NUMBERS = 15  # of classes: a larger confusion matrix has no room for counts
_MAX_NAME = 28  # characters


def _axes(width: float, height: float) -> tuple[Figure, Axes]:
    """An empty chart; sizes in inches."""
    figure = Figure(figsize=(width, height), dpi=150, layout='constrained')
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.spines[['top', 'right']].set_visible(False)
    axes.spines[['left', 'bottom']].set_color(GRID)
    axes.tick_params(colors=MUTED, labelsize=8, length=0)
    axes.xaxis.label.set(color=MUTED, fontsize=8)
    axes.yaxis.label.set(color=MUTED, fontsize=8)
    axes.set_axisbelow(True)
    return figure, axes


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format='png', metadata={'Software': None})
    return buffer.getvalue()


def shorten(name: str) -> str:
    """Returns a class name that fits beside a chart."""
    name = ' '.join(name.split())
    return name if len(name) <= _MAX_NAME else name[: _MAX_NAME - 1] + '…'


def loss_curve(
    steps: Sequence[int],
    losses: Sequence[float],
    *,
    validation: Sequence[tuple[int, float]] = (),
) -> bytes:
    """Returns the training loss by step: logged values, and a running mean over 5 % of them.

    Args:
      steps: Logged steps, ascending.
      losses: The training loss of each.
      validation: Steps and losses of the evaluations while training, drawn as a line with dots.
    """
    figure, axes = _axes(7, 2.8)
    axes.plot(steps, losses, color=ACCENT, alpha=0.3, linewidth=1)
    mean = _running_mean(np.asarray(losses, float))
    axes.plot(steps, mean, color=ACCENT, linewidth=2, label='training')
    axes.set(xlabel='step', ylabel='loss' if validation else 'training loss')
    if validation:
        axes.plot(
            *zip(*validation, strict=True), color=INK, linewidth=1, marker='o', markersize=3,
            label='validation',
        )  # fmt: skip
        axes.legend(frameon=False, fontsize=8, labelcolor=INK, loc='upper right')
    axes.set_ylim(bottom=0)
    axes.margins(x=0.01)
    axes.grid(axis='y', color=GRID)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.xaxis.set_major_formatter(StrMethodFormatter('{x:,.0f}'))
    return _png(figure)


def _running_mean(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The mean over a window around each value, [n] -> [n]; the window is cut at the ends."""
    half = max(1, len(values) // 40)
    sums = np.concatenate([[0.0], np.cumsum(values)])
    at = np.arange(len(values))
    start, end = np.maximum(at - half, 0), np.minimum(at + half + 1, len(values))
    means: npt.NDArray[np.float64] = (sums[end] - sums[start]) / (end - start)
    return means


def confusion_matrix(matrix: npt.NDArray[np.int64], names: Sequence[str]) -> bytes:
    """Returns a confusion matrix: rows are labels, columns predictions, shades shares of the row.

    Args:
      matrix: int64 [C, C].
      names: Of the classes [C]; omitted beyond MAX_NAMED_CLASSES.
    """
    size = float(np.clip(1.8 + 0.42 * len(names), 4.5, 8.5))
    figure, axes = _axes(size + 1.2, size)
    rows = matrix.sum(axis=1, keepdims=True)
    share = np.divide(matrix, rows, out=np.zeros(matrix.shape), where=rows > 0)
    axes.imshow(share, cmap='Blues', vmin=0, vmax=1, interpolation='nearest')
    axes.spines[:].set_visible(False)
    axes.set(xlabel='predicted', ylabel='label')
    if len(names) <= MAX_NAMED_CLASSES:
        ticks, labels = range(len(names)), [shorten(name) for name in names]
        axes.set_xticks(ticks, labels, rotation=45, ha='right', parse_math=False)
        axes.set_yticks(ticks, labels, parse_math=False)
    if len(names) <= _MAX_NUMBERS:
        for (row, column), count in np.ndenumerate(matrix):
            if count:
                color = 'white' if share[row, column] > 0.5 else INK
                axes.text(
                    column, row, f'{count:,}', ha='center', va='center', color=color, fontsize=7
                )
    return _png(figure)


def reliability(before: Reliability, after: Reliability) -> bytes:
    """Returns a reliability diagram (Guo et al., 2017): bars calibrated, line uncalibrated.

    The paler a bar, the fewer examples it has; on the diagonal confidence equals accuracy.
    """
    figure, axes = _axes(4.6, 3.6)
    middles = (np.arange(len(after.count)) + 0.5) / len(after.count)
    shares = after.count / max(int(after.count.max()), 1)
    for middle, height, share, count in zip(
        middles, after.accuracy, shares, after.count, strict=True
    ):
        if count:
            width = 0.92 / len(middles)
            axes.bar(middle, height, width=width, color=ACCENT, alpha=0.25 + 0.75 * share**0.5)
    some = before.count > 0
    axes.plot([0, 1], [0, 1], color=PALE, linewidth=1, linestyle=(0, (4, 3)))
    axes.plot(
        before.confidence[some], before.accuracy[some], color=INK, linewidth=1, marker='o',
        markersize=3, label=f'uncalibrated, ECE {100 * before.ece:.1f} %',
    )  # fmt: skip
    axes.bar(0, 0, color=ACCENT, label=f'calibrated, ECE {100 * after.ece:.1f} %')
    axes.set(xlabel='confidence', ylabel='accuracy', xlim=(0, 1), ylim=(0, 1))
    axes.legend(frameon=False, fontsize=8, labelcolor=INK, loc='upper left')
    return _png(figure)


def coverage(curve: CoverageCurve, at_target: Coverage) -> bytes:
    """Returns the accuracy of the most confident products by their share; marks the target."""
    figure, axes = _axes(4.6, 3.6)
    axes.plot(100 * curve.share, 100 * curve.accuracy, color=ACCENT, linewidth=2)
    axes.axhline(100 * at_target.target, color=PALE, linewidth=1, linestyle=(0, (4, 3)))
    if at_target.share:
        share, accuracy = 100 * at_target.share, 100 * at_target.accuracy
        axes.plot([share], [accuracy], color=INK, marker='o', markersize=5, clip_on=False)
        axes.annotate(
            f'{share:.1f} % auto-classified\nat {accuracy:.1f} % accuracy', (share, accuracy),
            xytext=(-8, -10) if share > 50 else (8, -10), textcoords='offset points',
            ha='right' if share > 50 else 'left', va='top', fontsize=8, color=INK,
        )  # fmt: skip
    lowest = 100 * float(curve.accuracy.min()) if len(curve.accuracy) else 0.0
    axes.set(xlabel='auto-classified, % of the products', ylabel='their accuracy, %')
    axes.set_xlim(0, 100)
    axes.set_ylim(max(0.0, min(lowest, 100 * at_target.target) - 6), 100.5)
    axes.grid(axis='y', color=GRID)
    return _png(figure)


def roc(curves: Sequence[tuple[str, RocCurve]]) -> bytes:
    """Returns ROC curves with their names, the last one emphasized; the diagonal is chance."""
    figure, axes = _axes(4.6, 3.6)
    axes.plot([0, 1], [0, 1], color=PALE, linewidth=1, linestyle=(0, (4, 3)))
    for number, (name, curve) in enumerate(curves):
        is_last = number == len(curves) - 1
        axes.plot(
            curve.false_positive_rate, curve.true_positive_rate, label=name,
            color=ACCENT if is_last else MUTED, linewidth=2 if is_last else 1,
            linestyle='-' if is_last else (0, (1 + 2 * number, 2)),
        )  # fmt: skip
    axes.set(xlabel='false positive rate', ylabel='true positive rate', xlim=(0, 1), ylim=(0, 1.01))
    axes.grid(color=GRID)
    if curves:
        axes.legend(frameon=False, fontsize=8, labelcolor=INK, loc='lower right')
    return _png(figure)


def class_balance(before: Sequence[float], after: Sequence[float], names: Sequence[str]) -> bytes:
    """Returns each class's share of the data before and after balancing, the largest class first.

    Args:
      before: Natural shares [C], in [0, 1].
      after: Shares of the train records [C], in [0, 1].
      names: Of the classes [C]; omitted beyond MAX_NAMED_CLASSES.
    """
    order = np.argsort(-np.asarray(before, float), kind='stable')
    first = 100 * np.asarray(before, float)[order]
    second = 100 * np.asarray(after, float)[order]
    if len(order) <= MAX_NAMED_CLASSES:
        return _balance_bars(first, second, [shorten(names[label]) for label in order])
    figure, axes = _axes(7, 3)
    rank = np.arange(1, len(order) + 1)
    axes.plot(rank, first, color=MUTED, linewidth=2, label='before')
    axes.plot(rank, second, color=ACCENT, linewidth=1, alpha=0.8, label='after')
    axes.set(xlabel='class, by size', ylabel='share of the class, %', yscale='log')
    axes.yaxis.set_major_formatter(StrMethodFormatter('{x:g}'))
    axes.minorticks_off()
    axes.margins(x=0.01)
    axes.grid(axis='y', color=GRID)
    axes.legend(frameon=False, fontsize=8, labelcolor=INK)
    return _png(figure)


def _balance_bars(
    before: npt.NDArray[np.float64], after: npt.NDArray[np.float64], names: Sequence[str]
) -> bytes:
    figure, axes = _axes(7, 0.9 + 0.34 * len(names))
    at = np.arange(len(names))
    axes.barh(at - 0.18, before, height=0.34, color=PALE, label='before')
    axes.barh(at + 0.18, after, height=0.34, color=ACCENT, label='after')
    axes.set_yticks(at, names, parse_math=False)
    axes.invert_yaxis()
    axes.set_xlabel('share of the class, %')
    axes.grid(axis='x', color=GRID)
    axes.legend(
        frameon=False, fontsize=8, labelcolor=INK, ncols=2,
        loc='lower right', bbox_to_anchor=(1, 1), borderaxespad=0,
    )  # fmt: skip
    return _png(figure)
