"""Limits of a gateway."""

import pytest

from catalog.errors import UserError
from serving.intake.options import Limits


def test_a_body_has_room_for_the_photos_and_the_form() -> None:
    limits = Limits(photo_mb=2, photos=3)
    assert limits.body_bytes == 3 * 2 * 1024 * 1024 + 64 * 1024


@pytest.mark.parametrize(
    ('values', 'message'),
    [
        ({'photos': 0}, '--max_photos must be positive, got 0'),
        ({'timeout_seconds': -1}, '--timeout_seconds must be positive, got -1'),
        ({'megapixels': float('nan')}, '--max_megapixels must be positive, got nan'),
        ({'waiting': -1}, '--max_waiting must be at least 0, got -1'),
    ],
)
def test_a_limit_that_is_not_positive_is_an_error_with_its_flag(
    values: dict[str, float], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        Limits(**values)


def test_no_request_may_wait() -> None:
    assert Limits(waiting=0).waiting == 0
