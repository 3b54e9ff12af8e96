"""Settings of all tests: Hypothesis's examples and TensorFlow's kernels."""

import os

from hypothesis import HealthCheck, settings

# As in `trainer.startup`, for tests that call a library instead of a command line.
os.environ.setdefault('TF_ENABLE_ONEDNN_OPTS', '1')

# No deadlines and no check of the speed of drawing, because a busy machine is not an error. The
# suite uses the same examples each time; `make fuzz` draws new ones for about a quarter of an hour.
settings.register_profile(
    'default',
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    'fuzz', max_examples=60_000, deadline=None, suppress_health_check=list(HealthCheck)
)
settings.load_profile(os.environ.get('HYPOTHESIS_PROFILE', 'default'))
