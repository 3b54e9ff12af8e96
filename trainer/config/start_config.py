"""Which weights a run begins with, beside those of its backbone."""

import re

from pydantic.dataclasses import dataclass

from trainer.config.ranges import STRICT


@dataclass(frozen=True, kw_only=True, config=STRICT)
class StartConfig:
    """Weights of another run, taken before the first step.

    Attributes:
      workdir: of that run, or its `best`; its newest weights count, or their means where it keeps
        them. None for no other run.
      pattern: a regular expression, looked for in the weight's path as in `optimizer.groups`. The
        weights that it fits are taken; `^(?!logits/)` takes all but those of the last layer.
    """

    workdir: str | None = None
    pattern: str = ''

    def __post_init__(self) -> None:
        try:
            re.compile(self.pattern)
        except re.error as error:
            raise ValueError(
                f'start.pattern must be a regular expression, got {self.pattern!r}: {error}'
            ) from error
