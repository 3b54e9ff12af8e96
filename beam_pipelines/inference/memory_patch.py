"""Patches RunInference, so that it measures the memory of a model without a warning.

As of Beam 2.77, it takes a missing PyTorch, which its model manager needs, for a missing module
`resource`, and warns about that for each model that it loads.
"""

import resource


def patch() -> None:
    """Patches this process."""
    from apache_beam.ml.inference import base

    if base.resource is None:
        base.resource = resource
