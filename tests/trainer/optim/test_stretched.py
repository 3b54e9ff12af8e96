"""How the learning rate moves when total_steps changes."""

from trainer.config import OptimizerConfig, ScheduleConfig
from trainer.optim import stretched


def _described(name: str, *, step: int, before: int, now: int, **more: float) -> str:
    schedule = ScheduleConfig(name=name, **more)
    config = OptimizerConfig(learning_rate=0.4, schedule=schedule)
    return stretched.describe(config, step=step, before=before, now=now)


def test_a_longer_cosine_rises_again() -> None:
    assert _described('cosine', step=100, before=100, now=200) == (
        'total_steps was 100 and now is 200: the learning rate of step 101 moves from 0 to 0.2, '
        'and ends at 0 after step 200 (schedule cosine)'
    )


def test_a_shorter_linear_schedule_drops() -> None:
    described = _described('polynomial', step=1000, before=4000, now=2000, end_factor=0.1)
    assert described == (
        'total_steps was 4,000 and now is 2,000: the learning rate of step 1,001 moves from 0.31 '
        'to 0.22, and ends at 0.04 after step 2,000 (schedule polynomial)'
    )


def test_in_the_warmup_the_rate_stays() -> None:
    described = _described('cosine', step=9, before=100, now=200, warmup_steps=19)
    assert 'the learning rate of step 10 stays at 0.2, and ends at 0 after step 200' in described


def test_a_constant_schedule_does_not_depend_on_the_total_steps() -> None:
    assert _described('constant', step=5, before=10, now=20) == (
        'total_steps was 10 and now is 20: the learning rate does not depend on it '
        '(schedule constant)'
    )
