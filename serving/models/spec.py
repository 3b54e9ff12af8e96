"""The model that a request names, and the state of a version."""

from dataclasses import dataclass
from typing import Literal

from serving.protocol.status import Code

State = Literal['LOADING', 'AVAILABLE', 'UNLOADING', 'END']


@dataclass(frozen=True)
class ModelSpec:
    """The model of a request; without version and label, it is the highest loaded version."""

    name: str
    version: int | None = None
    label: str | None = None


@dataclass(frozen=True)
class VersionStatus:
    """The state of a version; `code` and `message` describe a failure."""

    version: int
    state: State
    code: Code = Code.OK
    message: str = ''
