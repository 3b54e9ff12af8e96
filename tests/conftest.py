"""What all tests share: how much hypothesis tries, and TensorFlow's kernels.

Of examples, a little in the suite, for minutes under `make fuzz`.
"""

import os

from hypothesis import HealthCheck, settings

# As `trainer.startup` has it, for the tests that call a library and no command line.
os.environ.setdefault('TF_ENABLE_ONEDNN_OPTS', '1')

# A busy machine is no fault: no deadlines, no check of how fast examples are drawn. The suite has
# the same examples each time; `fuzz` draws others, for about a quarter of an hour.
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
