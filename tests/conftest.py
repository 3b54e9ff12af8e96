"""How much hypothesis tries: a little in the suite, for minutes under `make fuzz`."""

import os

from hypothesis import HealthCheck, settings

# No deadlines: a busy machine is no fault. The examples of `fuzz` take about a quarter of an hour.
settings.register_profile('default', max_examples=150, deadline=None)
settings.register_profile(
    'fuzz', max_examples=60_000, deadline=None, suppress_health_check=list(HealthCheck)
)
settings.load_profile(os.environ.get('HYPOTHESIS_PROFILE', 'default'))
