"""What changes the result of the shard job. Where it runs is for flags and Beam options."""

from dataclasses import dataclass

from catalog import record, shards
from catalog.errors import UserError

BALANCES = {'none': 1.0, 'sqrt': 0.5, 'uniform': 0.0}  # the power of the natural class count
DUPLICATES = ('keep', 'drop')
VERIFICATIONS = ('header', 'decode')


@dataclass(frozen=True)
class ShardOptions:
    """The options of one data set, checked when made.

    Attributes:
      validation_fraction: share of each class's products held for validation, in [0, 1).
      test_fraction: likewise for test; both together must stay below 1.
      balance: records a class follow count^power: `none` (1), `sqrt` (0.5), `uniform` (0), or a
        power in [0, 1] in digits.
      max_copies: no product is written to train more often.
      max_per_class: train products a class at most; 0 is no limit.
      duplicates: `drop` keeps the first of several pictures with the same bytes.
      drop_blank: leaves out pictures that show nothing (`beam_pipelines.blank`).
      record: `product` or `image`: what one record holds.
      shards: train shards; 0 lets shard_mb decide. Other splits get shards of like size.
      shard_mb: mean shard size in MB (10^6 bytes).
      compression: `none` or `gzip`.
      seed: of every hash that ranks or shuffles.
      max_rejected_fraction: the job fails if a larger share of documents or pictures is rejected.
      verify: `header` looks at headers, `decode` decodes every picture.
      unlabelled: the input has no categories; all of it becomes the split `predict`.
    """

    validation_fraction: float = 0.1
    test_fraction: float = 0.0
    balance: str = 'none'
    max_copies: int = 4
    max_per_class: int = 0
    duplicates: str = 'keep'
    drop_blank: bool = False
    record: str = 'product'
    shards: int = 0
    shard_mb: float = 128.0
    compression: str = 'none'
    seed: int = 0
    max_rejected_fraction: float = 0.01
    verify: str = 'header'
    unlabelled: bool = False

    def __post_init__(self) -> None:
        for name in ('validation_fraction', 'test_fraction'):
            _require(0 <= getattr(self, name) < 1, name, 'be in [0, 1)', getattr(self, name))
        held = self.validation_fraction + self.test_fraction
        _require(held < 1, 'validation_fraction + test_fraction', 'be below 1', held)
        _require(
            0 <= self.max_rejected_fraction <= 1,
            'max_rejected_fraction',
            'be in [0, 1]',
            self.max_rejected_fraction,
        )
        _require(self.max_copies >= 1, 'max_copies', 'be at least 1', self.max_copies)
        _require(self.max_per_class >= 0, 'max_per_class', 'be at least 0', self.max_per_class)
        _require(self.shards >= 0, 'shards', 'be at least 0', self.shards)
        _require(self.shard_mb > 0, 'shard_mb', 'be above 0', self.shard_mb)
        for name, choices in (
            ('duplicates', DUPLICATES),
            ('record', record.KINDS),
            ('compression', shards.COMPRESSIONS),
            ('verify', VERIFICATIONS),
        ):
            value = getattr(self, name)
            _require(value in choices, name, f'be one of {", ".join(choices)}', value)
        _ = self.balance_power

    @property
    def balance_power(self) -> float:
        """The power of the class count that the records of a class follow, in [0, 1]."""
        if self.balance in BALANCES:
            return BALANCES[self.balance]
        try:
            power = float(self.balance)
        except ValueError:
            power = -1.0
        _require(
            0 <= power <= 1,
            'balance',
            f'be one of {", ".join(BALANCES)}, or a power in [0, 1]',
            self.balance,
        )
        return power


def _require(condition: bool, name: str, rule: str, value: object) -> None:
    if not condition:
        raise UserError(f'{name} must {rule}, got {value}')
