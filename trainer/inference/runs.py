"""What a workdir answers with: the newest model of a run, or the models of an ensemble.

A run keeps `config.json` and checkpoints; an ensemble `ensemble.json`, see `ensemble_file`.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import keras

from catalog.errors import UserError
from trainer.config import TrainConfig
from trainer.data.data_set import DataInfo
from trainer.inference import ensemble
from trainer.inference import scores as predictions
from trainer.inference.ensemble import Combination
from trainer.models.tta import build_tta_model
from trainer.workdir import checkpoint, run_files


@dataclass(frozen=True)
class Member:
    """A model.

    Attributes:
      model: with its weights, answering as the run's `tta` says.
      config: of the run that made it.
      step: of its checkpoint.
    """

    model: keras.Model
    config: TrainConfig
    step: int


@dataclass(frozen=True)
class Run:
    """One model, or several and how they are combined.

    Attributes:
      members: the models.
      combination: of them; None of one.
      config: of the run; of an ensemble the common one. Pictures are decoded to its size, and
        scaled to each member's own on the device.
      info: what the first knows of its data.
      tta: see `trainer.models.tta`.
    """

    members: tuple[Member, ...]
    combination: Combination | None
    config: TrainConfig
    info: DataInfo
    tta: str = 'none'

    @property
    def step(self) -> int:
        """Of the checkpoint; of an ensemble, the sum, so that it tells when a member goes on."""
        return sum(member.step for member in self.members)

    @property
    def product_rule(self) -> str:
        """How the probabilities of a product come about, in words."""
        rules = [predictions.rule(member.config.model.fusion) for member in self.members]
        if self.combination is None:
            return rules[0]
        return f'{self.combination.words} of {len(rules)} models: {"; ".join(dict.fromkeys(rules))}'


def open_run(workdir: str, *, tta: str = 'none') -> Run:
    """Restores what a workdir answers with.

    Raises:
      UserError: if there is no checkpoint, a member of an ensemble is not as it was, or a model
        cannot answer as `tta` says.
    """
    found = ensemble.read(workdir)
    if found is None:
        member, info = _restore(workdir, tta=tta)
        return Run((member,), None, member.config, info, tta)
    restored = [_restore(named.workdir, tta=tta) for named in found.members]
    members, infos = zip(*restored, strict=True)
    for member, named in zip(members, found.members, strict=True):
        if member.step != named.step:
            raise UserError(
                f'{named.workdir}: a member must be as it was when {workdir} was made, at step '
                f'{named.step}, got step {member.step}; make the ensemble again'
            )
    return Run(members, found.combination, common_config(members), infos[0], tta)


def common_config(members: Sequence[Member]) -> TrainConfig:
    """The first member's, with pictures as high and wide as any member's."""
    first, sizes = members[0].config, [member.config.input for member in members]
    height, width = max(size.height for size in sizes), max(size.width for size in sizes)
    largest = dataclasses.replace(first.input, height=height, width=width)
    return dataclasses.replace(first, input=largest)


def _restore(workdir: str, *, tta: str = 'none') -> tuple[Member, DataInfo]:
    model, config, info = checkpoint.restore_model(workdir)
    model = build_tta_model(model, tta)
    return Member(model, config, checkpoint.steps(workdir)[0]), info


def open_members(workdirs: Sequence[str]) -> tuple[Member, ...]:
    """The models that are to be one.

    Raises:
      UserError: if they are not of one category tree or answer with different priors.
    """
    members = tuple(_restore(workdir)[0] for workdir in workdirs)
    trees = [run_files.restore_categories(workdir) for workdir in workdirs]
    for workdir, member, tree in zip(workdirs, members, trees, strict=True):
        if tree.sha256 != trees[0].sha256:
            raise UserError(
                f'{workdir}: all members must know one category tree, of SHA-256 '
                f'{trees[0].sha256}, got {tree.sha256}'
            )
        wanted, power = members[0].config.loss.target_power, member.config.loss.target_power
        if power != wanted:
            raise UserError(
                f'{workdir}: all members must answer with one prior, loss.target_power {wanted}, '
                f'got {power}'
            )
    return members
