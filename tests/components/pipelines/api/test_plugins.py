"""What plug-ins are given is kept within limits."""

from typing import Any

import pytest

from flowdeck.components.pipelines.api.plugins import checked_plugins
from flowdeck.kube.errors import BadRequest


def nested(depth: int) -> Any:
    return {"x": nested(depth - 1)} if depth else 1


@pytest.mark.parametrize(
    "good", [{}, {"mlflow": {"experiment_name": "x"}}, {"a": nested(10)}, {"a": {"x": "x" * 60_000}}]
)
def test_what_is_kept(good: dict[str, Any]) -> None:
    assert checked_plugins(good) == good
    assert checked_plugins(None) == {}


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ({str(number): {} for number in range(17)}, "17 plug-ins"),
        ({"mlflow": "x"}, "must be an object"),
        ({"a": {"x": "x" * 65_536}}, "larger than 65536 bytes"),
        ({"a": nested(11)}, "nested deeper than 10"),
        ({"a": {"x": [[[[[[[[[[1]]]]]]]]]]}}, "nested deeper than 10"),
        ({str(number): {"x": "x" * 60_000} for number in range(5)}, "larger than 262144 bytes"),
    ],
)
def test_what_is_refused(bad: dict[str, Any], why: str) -> None:
    with pytest.raises(BadRequest, match=why):
        checked_plugins(bad)
