"""Options that change the result of the shard job. Flags and Beam options choose where it runs."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from catalog import record, shards
from catalog.errors import UserError

BALANCES = {'none': 1.0, 'sqrt': 0.5, 'uniform': 0.0}  # the power of the natural class count
DUPLICATES = ('keep', 'drop')
NEAR_DUPLICATES = ('off', 'mark', 'group')
SPLIT_RULES = ('rank', 'hash')
VERIFICATIONS = ('header', 'decode')

# The manifest has these options only where they are not the default.
_NEWER = (
    'near_duplicates',
    'split_by',
    'folder_in_key',
    'fields',
    'pseudo_labels',
    'pseudo_threshold',
)


@dataclass(frozen=True)
class ShardOptions:
    """The options of one data set, validated on construction.

    Attributes:
      validation_fraction: Fraction of each class's products in validation, in [0, 1).
      test_fraction: Fraction of each class's products in test. The sum of both must be below 1.
      split_by: `rank` splits each class exactly by the fractions, and gives every split a product
        if there are enough; `hash` splits each product on its own, so that it stays in its split
        as others come and go.
      balance: Records per class follow count^power: `none` (1), `sqrt` (0.5), `uniform` (0), or a
        power in [0, 1] in digits.
      max_copies: Most copies of a product in train.
      max_per_class: Most train products per class; 0 is no limit.
      duplicates: `drop` keeps only the first of several pictures with the same bytes.
      near_duplicates: `mark` marks held-out pictures as leaked that look the same as one of train;
        `group` keeps products with such pictures in one split; `off` compares bytes only.
      drop_blank: Whether to drop blank pictures (`beam_pipelines.scan.blank`).
      record: What one record contains, a `product` or an `image`.
      shards: Number of train shards; 0 derives it from shard_mb. Shards of other splits have about
        the same size.
      shard_mb: Mean shard size in MB (10^6 bytes).
      compression: `none` or `gzip`.
      seed: Seed of all hashes that rank or shuffle.
      max_rejected_fraction: Largest fraction of documents, pictures or bytes that may be rejected.
      verify: `header` reads headers only, `decode` decodes every picture.
      unlabelled: Whether the input has no categories; all of it becomes the split `predict`.
      fields: Names of the fields as OURS=THEIRS,... where they differ, also that of the group.
      pseudo_labels: SHA-256 of the predictions that label products without a category, in hex; ''
        if there are none.
      pseudo_threshold: Their lowest confidence that counts, or the SHA-256 of the file that has it
        by category; '' if there are none.
      folder_in_key: Whether the keys of photos in folders begin with the name of the input folder.
    """

    validation_fraction: float = 0.1
    test_fraction: float = 0.0
    split_by: str = 'rank'
    balance: str = 'none'
    max_copies: int = 4
    max_per_class: int = 0
    duplicates: str = 'keep'
    near_duplicates: str = 'off'
    drop_blank: bool = False
    record: str = 'product'
    shards: int = 0
    shard_mb: float = 128.0
    compression: str = 'none'
    seed: int = 0
    max_rejected_fraction: float = 0.01
    verify: str = 'header'
    unlabelled: bool = False
    folder_in_key: bool = False
    fields: str = ''
    pseudo_labels: str = ''
    pseudo_threshold: str = ''

    def __post_init__(self) -> None:
        for name in ('validation_fraction', 'test_fraction'):
            _require(0 <= getattr(self, name) < 1, name, 'be in [0, 1)', getattr(self, name))
        held_out = self.validation_fraction + self.test_fraction
        _require(held_out < 1, 'validation_fraction + test_fraction', 'be below 1', held_out)
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
            ('near_duplicates', NEAR_DUPLICATES),
            ('split_by', SPLIT_RULES),
            ('record', record.KINDS),
            ('compression', shards.COMPRESSIONS),
            ('verify', VERIFICATIONS),
        ):
            value = getattr(self, name)
            _require(value in choices, name, f'be one of {", ".join(choices)}', value)
        _require(
            self.near_duplicates == 'off' or not self.unlabelled,
            'near_duplicates',
            'be off with unlabelled, which has no splits',
            self.near_duplicates,
        )
        _require(
            not self.pseudo_labels or not self.unlabelled,
            'pseudo_labels',
            'not be given with unlabelled',
            self.pseudo_labels,
        )
        _require(
            not self.pseudo_labels or self.near_duplicates != 'group',
            'near_duplicates',
            'be off or mark with pseudo_labels, which are in train only',
            self.near_duplicates,
        )
        _ = self.balance_power

    def as_mapping(self) -> dict[str, Any]:
        """Returns the options of the manifest: newer ones only where they are not the default."""
        defaults = {name: ShardOptions.__dataclass_fields__[name].default for name in _NEWER}
        options = dataclasses.asdict(self)
        return {name: value for name, value in options.items() if defaults.get(name) != value}

    @property
    def balance_power(self) -> float:
        """The power of the class count that determines the records of a class, in [0, 1]."""
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
