"""What the study compares: cells, each a training run for each seed, and the tables they are in.

Values only. A cell that stands in several tables runs once.
"""

from collections.abc import Sequence
from dataclasses import dataclass

STEPS = 900


@dataclass(frozen=True)
class Data:
    """A sample of Fashion-MNIST and how its shards are balanced.

    Attributes:
      imbalance: photos of the largest class for one of the smallest.
      balance: of the shards.
      wrong_labels: share of the train products.
      views: photos a product.
    """

    imbalance: int
    balance: str = 'none'
    wrong_labels: float = 0.0
    views: int = 1

    @property
    def sample(self) -> str:
        """The name of the sample, which the balance does not change."""
        return f'imbalance{self.imbalance}-wrong{self.wrong_labels:g}-views{self.views}'

    @property
    def name(self) -> str:
        """Of the shards."""
        return f'{self.sample}-{self.balance}'


@dataclass(frozen=True)
class Cell:
    """A training run.

    Attributes:
      name: of its results' files.
      data: that it learns from.
      overrides: of configs/tiny.py.
    """

    name: str
    data: Data
    overrides: tuple[str, ...] = ()


@dataclass(frozen=True)
class Row:
    """A row of a table. `alone`: the figures of each picture by itself."""

    title: str
    cell: Cell
    alone: bool = False


@dataclass(frozen=True)
class Table:
    """Rows that are compared with the first of them."""

    title: str
    rows: tuple[Row, ...]


def _prior(imbalance: int, balance: str, target: str) -> Cell:
    name = f'prior-{imbalance}-{balance}-{target}'
    power = {'off': 'null', 'natural': '1', 'uniform': '0'}[target]
    return Cell(name, Data(imbalance, balance), (f'loss.target_power={power}',))


def _priors(imbalance: int) -> Table:
    # On natural shards the rule towards the natural prior changes nothing: one cell for both.
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
    weighed = ('loss.effective_beta=0.9999', 'loss.target_power=null')
    rows = [
        ('focal, gamma 2', 'focal', ('loss.name=focal',)),
        ('class-balanced, beta 0.9999', 'class-balanced', weighed),
        ('LDAM', 'ldam', (*ldam, 'loss.target_power=null')),
        ('LDAM-DRW', 'ldam-drw', (*ldam, *weighed, f'loss.reweight_from_step={STEPS * 4 // 5}')),
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
    # At 8x8 a photo alone says little. A step sees 128 photos either way.
    weak = ('input.height=8', 'input.width=8')
    alone = Cell('views-none', Data(10, views=4), weak)
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
            ('a layer, their mean, a layer', 'mlp'),
        ]
    ]
    return Table(
        'Products of four weak views, imbalance 10',
        (
            Row('mean of the probabilities', alone),
            *rows,
            Row('each view alone', alone, alone=True),
        ),
    )


TABLES = (_priors(10), _priors(100), _losses(), _smoothing(), _wrong_labels(), _views())


def cells(tables: Sequence[Table] = TABLES) -> list[Cell]:
    """The cells of tables, each once."""
    return list({row.cell: None for table in tables for row in table.rows})
