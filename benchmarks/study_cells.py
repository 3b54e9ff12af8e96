"""The cells of the study, each a training run per seed, and the tables that compare them.

Values only. A cell that is in several tables runs once.
"""

from collections.abc import Sequence
from dataclasses import dataclass

STEPS = 900


@dataclass(frozen=True)
class Data:
    """A sample of Fashion-MNIST and the balance of its shards.

    Attributes:
      imbalance: Ratio of the largest class to the smallest.
      balance: Balance of the shards.
      wrong_labels: Share of train products with a wrong label.
      views: Photos per product.
    """

    imbalance: int
    balance: str = 'none'
    wrong_labels: float = 0.0
    views: int = 1

    @property
    def sample(self) -> str:
        """The name of the sample, which does not depend on the balance."""
        return f'imbalance{self.imbalance}-wrong{self.wrong_labels:g}-views{self.views}'

    @property
    def name(self) -> str:
        """The name of the shards."""
        return f'{self.sample}-{self.balance}'


@dataclass(frozen=True)
class Cell:
    """A training run.

    Attributes:
      name: Name of its result files.
      data: Train data.
      overrides: Overrides of configs/tiny.py.
    """

    name: str
    data: Data
    overrides: tuple[str, ...] = ()


@dataclass(frozen=True)
class Row:
    """A row of a table. `single_views`: shows the accuracy per picture, not per product."""

    title: str
    cell: Cell
    single_views: bool = False


@dataclass(frozen=True)
class Table:
    """Rows that are compared with the first row."""

    title: str
    rows: tuple[Row, ...]


def _prior(imbalance: int, balance: str, target: str) -> Cell:
    name = f'prior-{imbalance}-{balance}-{target}'
    power = {'off': 'null', 'natural': '1', 'uniform': '0'}[target]
    return Cell(name, Data(imbalance, balance), (f'loss.target_power={power}',))


def _priors(imbalance: int) -> Table:
    # On natural shards, the rule with the natural target has no effect: one cell for both.
    rows = [
        Row('none, rule off or natural', _prior(imbalance, 'none', 'natural')),
        Row('none, rule uniform', _prior(imbalance, 'none', 'uniform')),
    ]
    rows += [
        Row(f'{balance}, rule {target}', _prior(imbalance, balance, target))
        for balance in ('sqrt', 'uniform')
        for target in ('off', 'natural', 'uniform')
    ]
    return Table(f'Balance of the shards and prior rule, imbalance {imbalance}', tuple(rows))


def _losses() -> Table:
    data = Data(100)
    ldam = ('loss.name=ldam', 'loss.ldam_margin=15', 'model.last_layer=cosine')
    weighted = ('loss.effective_beta=0.9999', 'loss.target_power=null')
    rows = [
        ('focal, gamma 2', 'focal', ('loss.name=focal',)),
        ('class-balanced, beta 0.9999', 'class-balanced', weighted),
        ('LDAM', 'ldam', (*ldam, 'loss.target_power=null')),
        ('LDAM-DRW', 'ldam-drw', (*ldam, *weighted, f'loss.reweight_from_step={STEPS * 4 // 5}')),
        ('generalised, q 0.7', 'generalized', ('loss.name=generalized',)),
        ('three levels, summed', 'levels-summed', ('loss.levels=summed',)),
        ('three levels, heads', 'levels-heads', ('loss.levels=heads',)),
    ]
    return Table(
        'Losses, imbalance 100, natural shards',
        (
            Row('cross-entropy', _prior(100, 'none', 'natural')),
            Row('balanced softmax', _prior(100, 'none', 'uniform')),
            *(Row(title, Cell(f'loss-{name}', data, flags)) for title, name, flags in rows),
        ),
    )


def _smoothing() -> Table:
    rows = [
        Row(f'{share}', Cell(f'smoothing-{share}', Data(10), (f'loss.label_smoothing={share}',)))
        for share in (0.05, 0.1, 0.2)
    ]
    return Table(
        'Label smoothing, imbalance 10, right labels',
        (Row('none', _prior(10, 'none', 'natural')), *rows),
    )


def _wrong_labels() -> Table:
    data = Data(10, wrong_labels=0.1)
    rows = [
        ('cross-entropy', 'plain', ()),
        ('label smoothing 0.1', 'smoothing', ('loss.label_smoothing=0.1',)),
        ('generalised, q 0.4', 'generalized-0.4', ('loss.name=generalized', _q(0.4))),
        ('generalised, q 0.7', 'generalized-0.7', ('loss.name=generalized', _q(0.7))),
        ('mixup, alpha 0.2', 'mixup', ('augment.mixup=0.2',)),
    ]
    return Table(
        'A tenth of the labels wrong, imbalance 10',
        (
            *(Row(title, Cell(f'wrong-{name}', data, flags)) for title, name, flags in rows),
            Row('cross-entropy, all labels right', _prior(10, 'none', 'natural')),
        ),
    )


def _q(q: float) -> str:
    return f'loss.generalized_q={q}'


def _views() -> Table:
    # At 8x8, a single photo contains little information. A step has 128 photos in all cells.
    weak = ('input.height=8', 'input.width=8')
    not_fused = Cell('views-none', Data(10, views=4), weak)
    rows = [
        Row(
            title,
            Cell(
                f'views-{name}',
                Data(10, views=4),
                (*weak, f'model.fusion.name={name}', 'batch_size=32'),
            ),
        )
        for title, name in [
            ('mean of the features', 'mean'),
            ('maximum of the features', 'max'),
            ('gated attention', 'gated'),
            ('dense layer, mean, dense layer', 'mlp'),
        ]
    ]
    return Table(
        'Products of four weak views, imbalance 10',
        (
            Row('mean of the probabilities', not_fused),
            *rows,
            Row('single views', not_fused, single_views=True),
        ),
    )


TABLES = (_priors(10), _priors(100), _losses(), _smoothing(), _wrong_labels(), _views())


def cells(tables: Sequence[Table] = TABLES) -> list[Cell]:
    """Returns the cells of tables, each once."""
    return list({row.cell: None for table in tables for row in table.rows})
