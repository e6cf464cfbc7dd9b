"""Shares are rounded the way that is asked for."""

import pytest

from flowdeck.kube.int_or_string import scaled_value


@pytest.mark.parametrize(
    ("value", "whole", "up", "down"),
    [(3, 10, 3, 3), ("25%", 10, 3, 2), ("0%", 7, 0, 0), ("100%", 7, 7, 7), ("1%", 1, 1, 0), ("50%", 3, 2, 1)],
)
def test_a_share_of_a_whole(value: int | str, whole: int, up: int, down: int) -> None:
    assert scaled_value(value, whole, round_up=True) == up
    assert scaled_value(value, whole, round_up=False) == down
