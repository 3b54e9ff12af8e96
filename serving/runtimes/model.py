"""What every runtime and every wrapper of one is to the server."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy.typing as npt

Arrays = Mapping[str, npt.NDArray[Any]]
Outputs = dict[str, npt.NDArray[Any]]


class Model(Protocol):
    """A loaded model: numpy in, numpy out.

    Attributes:
      signatures: tensorflow.SignatureDef by name.
      runtime: What runs it, in metrics and logs: TF1 or the runtime and precision of a conversion.
    """

    runtime: str
    signatures: Mapping[str, Any]

    def run(
        self,
        signature_name: str,
        inputs: Arrays,
        *,
        outputs: Sequence[str] = (),
        timeout_seconds: float | None = None,
    ) -> Outputs:
        """Runs a signature; may be called from many threads.

        Raises:
          RequestError: The reason of a failure.
        """

    def close(self) -> None:
        """Frees the model's memory. No run may be in progress."""
