"""The models of a workdir: the newest one of a run, or those of an ensemble.

A run has `config.json` and checkpoints; an ensemble has `ensemble.json`.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field

import keras
import tensorflow as tf

from catalog.categories import Categories
from catalog.errors import UserError
from trainer.config import FusionConfig, TrainConfig
from trainer.data.data_set import DataInfo
from trainer.inference.combination import Combination
from trainer.inference.ensemble import read_ensemble
from trainer.inference.predictor import EnsemblePredictor, Predictor
from trainer.models import heads
from trainer.models.model import build_model
from trainer.models.tta import build_tta_model
from trainer.optim import ema
from trainer.workdir import checkpoint, run_files


@dataclass(frozen=True)
class Member:
    """A trained model.

    Attributes:
      model: The model with its weights, with test-time augmentation if the run has it.
      config: Config of the run that trained it.
      step: Step of its checkpoint.
      level_heads: The heads of the levels that were trained with it, if they are restored.
      strategy: The strategy in whose scope it was restored: its devices have the weights.
    """

    model: keras.Model
    config: TrainConfig
    step: int
    level_heads: tuple[keras.layers.Layer, ...] = ()
    strategy: tf.distribute.Strategy = field(default_factory=tf.distribute.get_strategy)

    def predictor(self) -> Predictor:
        """Builds the forward path of the model."""
        return Predictor(self.model, self.config.model)


@dataclass(frozen=True)
class Run:
    """One model, or several and how they are combined.

    Attributes:
      members: The models.
      combination: The rule of an ensemble; None for one model.
      config: Config of the run. For an ensemble, that of the first member with the largest height
        and width of all: images are decoded to this size and resized for each member on the device.
      info: What the first member remembers of its data.
      tta: See `models.tta`.
    """

    members: tuple[Member, ...]
    combination: Combination | None
    config: TrainConfig
    info: DataInfo
    tta: str = 'none'

    @property
    def step(self) -> int:
        """Step of the checkpoint; for an ensemble the sum, which changes when a member resumes."""
        return sum(member.step for member in self.members)

    @property
    def product_rule(self) -> str:
        """How the probabilities of a product are computed, in words."""
        rules = [describe_fusion(member.config.model.fusion) for member in self.members]
        if self.combination is None:
            return rules[0]
        distinct = '; '.join(dict.fromkeys(rules))
        return f'{self.combination.description} of {len(rules)} models: {distinct}'

    def predictor(self) -> Predictor | EnsemblePredictor:
        """Builds the forward path of the run."""
        members = tuple(member.predictor() for member in self.members)
        if self.combination is None:
            return members[0]
        return EnsemblePredictor(members, self.combination)


def describe_fusion(config: FusionConfig) -> str:
    """Returns how the probabilities of a product are computed, in words."""
    if not config.is_on:
        return 'the mean over its pictures'
    return f'the fusion of its first {config.max_views} pictures ({config.name})'


def open_run(workdir: str, *, tta: str = 'none') -> Run:
    """Restores the models of a workdir.

    Raises:
      UserError: If there is no checkpoint, a member of an ensemble has been trained further, or a
        model does not support `tta`.
    """
    ensemble = read_ensemble(workdir)
    if ensemble is None:
        member, info = _restore_member(workdir, tta=tta)
        return Run((member,), None, member.config, info, tta)
    restored = [_restore_member(run.workdir, tta=tta) for run in ensemble.members]
    members, infos = zip(*restored, strict=True)
    for member, run in zip(members, ensemble.members, strict=True):
        if member.step != run.step:
            raise UserError(
                f'{run.workdir}: a member must be at step {run.step}, at which the ensemble '
                f'{workdir} was built, got step {member.step}; build the ensemble again'
            )
    return Run(members, ensemble.combination, common_config(members), infos[0], tta)


def common_config(members: Sequence[Member]) -> TrainConfig:
    """Returns the first member's config with the largest height and width of all members."""
    first, inputs = members[0].config, [member.config.input for member in members]
    height, width = max(size.height for size in inputs), max(size.width for size in inputs)
    largest = dataclasses.replace(first.input, height=height, width=width)
    return dataclasses.replace(first, input=largest)


def open_members(workdirs: Sequence[str]) -> tuple[Member, ...]:
    """Restores the models that are to form an ensemble.

    Raises:
      UserError: If they were trained on different category trees or predict different priors.
    """
    members = tuple(_restore_member(workdir)[0] for workdir in workdirs)
    trees = [run_files.restore_categories(workdir) for workdir in workdirs]
    for workdir, member, tree in zip(workdirs, members, trees, strict=True):
        if tree.sha256 != trees[0].sha256:
            raise UserError(
                f'{workdir}: all members must have the same category tree, of SHA-256 '
                f'{trees[0].sha256}, got {tree.sha256}'
            )
        wanted, power = members[0].config.loss.target_power, member.config.loss.target_power
        if power != wanted:
            raise UserError(
                f'{workdir}: all members must predict with one prior, loss.target_power {wanted}, '
                f'got {power}'
            )
    return members


def _restore_member(workdir: str, *, tta: str = 'none') -> tuple[Member, DataInfo]:
    member, info = restore_member(workdir)
    model = build_tta_model(member.model, tta)
    return dataclasses.replace(member, model=model), info


def restore_member(workdir: str, *, tree: Categories | None = None) -> tuple[Member, DataInfo]:
    """Restores the newest model of a run: its weights, or their EMA if the run keeps it.

    Reads the workdir only: a checkpoint that cannot be read is passed over, never renamed.

    Args:
      workdir: Workdir of the run.
      tree: The tree that the run learned: its heads of the levels are restored too, if it has any.

    Raises:
      UserError: If the workdir has no checkpoint that can be read.
    """
    config = run_files.restore_config(workdir)
    info = run_files.restore_info(workdir)
    model = build_model(
        dataclasses.replace(config.model, weights=None),  # the checkpoint has all weights
        num_classes=info.num_classes,
        input_shape=(config.input.height, config.input.width, 3),
    )
    averages = ema.create_averages(model) if config.step.ema_decay else []
    level_heads: list[keras.layers.Layer] = []
    if tree is not None and config.loss.levels == 'heads':
        level_heads = heads.level_head_layers(heads.add_level_heads(model, tree.level_sizes))
    state = tf.train.Checkpoint(
        model=model, means=averages, **({'heads': level_heads} if level_heads else {})
    )
    step = checkpoint.read_newest(state, workdir)
    if step is None:
        raise UserError(f'{workdir}: there is no checkpoint yet; trainer.task writes them')
    if averages:
        ema.copy_to_model(averages, model)
    return Member(model, config, step, tuple(level_heads)), info
