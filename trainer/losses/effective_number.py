"""How much a class counts, by the effective number of its pictures. Cui et al., 2019."""

import numpy as np
import numpy.typing as npt


def weights(counts: npt.NDArray[np.float64], *, beta: float) -> npt.NDArray[np.float64]:
    """`(1 - beta) / (1 - beta^n)` of each class, scaled to a mean of 1: [C] -> float64 [C].

    arXiv:1901.05555, equation 2 and section 4. `counts`: above 0. `beta`: in [0, 1).
    """
    inverse = (1 - beta) / -np.expm1(counts * np.log(beta)) if beta else np.ones(len(counts))
    scaled: npt.NDArray[np.float64] = inverse / inverse.mean()
    return scaled
