"""Filters over HTTP, from a table: each operation with each kind of value, in each spelling, on each kind of list.

Three objects are made a second apart, `a`, `b`, `c`; what they are found by is told beside them.
"""

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import timedelta
from typing import Any

import httpx
import pytest

from flowdeck.kube.times import format_time
from tests.components.pipelines.api.served import DOCUMENT, Served

NUMBERS = {
    "EQUALS": 1,
    "NOT_EQUALS": 2,
    "GREATER_THAN": 3,
    "GREATER_THAN_EQUALS": 5,
    "LESS_THAN": 6,
    "LESS_THAN_EQUALS": 7,
    "IN": 8,
    "IS_SUBSTRING": 9,
}
FOUND = {
    "EQUALS": "b",
    "NOT_EQUALS": "ac",
    "GREATER_THAN": "c",
    "GREATER_THAN_EQUALS": "bc",
    "LESS_THAN": "a",
    "LESS_THAN_EQUALS": "ab",
}
"""By comparison with what `b` has."""
SPELLINGS = {
    "string": ("string_value", "stringValue"),
    "timestamp": ("timestamp_value", "timestampValue"),
    "int": ("int_value", "intValue"),
    "long": ("long_value", "longValue"),
    "strings": ("string_values", "stringValues"),
    "ints": ("int_values", "intValues"),
    "longs": ("long_values", "longValues"),
}
LISTS = {
    "runs": ("/runs", {"pipeline_spec": DOCUMENT}),
    "experiments": ("/experiments", {}),
    "pipelines": ("/pipelines", {}),
    "recurringRuns": ("/recurringruns", {"pipeline_spec": DOCUMENT, "max_concurrency": "1", "mode": "DISABLE"}),
}
"""The key of an answer -> the path, and what making one needs besides a name."""


def predicates(seconds: int, time: str) -> Iterator[tuple[Mapping[str, Any], str]]:
    """Each predicate of the table without its spelling, and who is found by it. `b` was made at that time."""
    for op, found in FOUND.items():
        yield {"op": op, "key": "display_name", "type": "string", "value": "b"}, found
        yield {"op": op, "key": "created_at", "type": "timestamp", "value": time}, found
        for type in ("int", "long"):
            for value in (seconds, str(seconds)):
                yield {"op": op, "key": "created_at", "type": type, "value": value}, found
    yield {"op": "IN", "key": "display_name", "type": "strings", "value": {"values": ["a", "c", "nobody"]}}, "ac"
    for type in ("ints", "longs"):
        values: list[int | str] = [seconds - 1, str(seconds + 1), 0]
        yield {"op": "IN", "key": "created_at", "type": type, "value": {"values": values}}, "ac"
    for value, found in (("B", "b"), ("", "abc"), ("%", ""), ("_", "")):
        yield {"op": "IS_SUBSTRING", "key": "display_name", "type": "string", "value": value}, found


def spelt(predicate: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The predicate in both spellings, its operation as a name and as a number."""
    for field in SPELLINGS[predicate["type"]]:
        for operation in (predicate["op"], NUMBERS[predicate["op"]]):
            yield {"operation": operation, "key": predicate["key"], field: predicate["value"]}


REFUSED: list[dict[str, Any]] = [
    *(
        {"operation": op, "key": "display_name", field: value}
        for op in FOUND
        for field, value in (
            ("string_values", {"values": ["b"]}),
            ("intValues", {"values": [1]}),
            ("long_values", {"values": ["1"]}),
            ("int_value", 1),
            ("timestamp_value", "2026-01-01T00:00:00Z"),
        )
    ),
    *(
        {"operation": "IN", "key": "display_name", field: value}
        for field, value in (("string_value", "b"), ("stringValues", ["b"]), ("string_values", {"values": []}))
    ),
    *(
        {"operation": 9, "key": key, field: value}
        for key, field, value in (
            ("display_name", "int_value", 1),
            ("display_name", "string_values", {"values": ["b"]}),
            ("created_at", "timestamp_value", "2026-01-01T00:00:00Z"),
            ("created_at", "string_value", "2026"),
        )
    ),
    {"operation": 1, "key": "created_at", "string_value": "2026-01-01T00:00:00Z"},
    {"operation": 1, "key": "created_at", "timestamp_value": "yesterday"},
    {"operation": 1, "key": "created_at", "long_value": "b"},
    {"operation": 1, "key": "colour", "string_value": "b"},
    {"operation": 4, "key": "display_name", "string_value": "b"},
    {"operation": "LIKE", "key": "display_name", "string_value": "b"},
    {"key": "display_name", "string_value": "b"},
    {"operation": 1, "key": "display_name"},
    {"operation": 1, "key": "display_name", "string_value": "b", "int_value": 1},
]


@pytest.fixture
async def api(served: Served) -> AsyncIterator[httpx.AsyncClient]:
    async with served.client() as client:
        yield client


async def make(api: httpx.AsyncClient, kind: str, name: str) -> None:
    path, body = LISTS[kind]
    answer = await api.post(path, json={"display_name": name, **body})
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("kind", LISTS)
async def test_each_operation_finds_what_it_says_in_each_spelling(
    api: httpx.AsyncClient, served: Served, kind: str
) -> None:
    served.world.clock.advance(0.25)
    before, time = served.world.clock.now(), format_time(served.world.clock.now() + timedelta(seconds=1))
    for name in "abc":
        await make(api, kind, name)
        served.world.clock.advance(1)
    for predicate, found in predicates(int(before.timestamp()) + 1, time):
        for each in spelt(predicate):
            params = {"filter": json.dumps({"predicates": [each]})}
            answer = await api.get(LISTS[kind][0], params=params)
            assert answer.status_code == 200, (each, answer.text)
            names = "".join(sorted(item["display_name"] for item in answer.json().get(kind, ())))
            assert names.replace("Default", "") == found, each


@pytest.mark.parametrize("kind", LISTS)
async def test_what_cannot_be_compared_is_refused(api: httpx.AsyncClient, kind: str) -> None:
    await make(api, kind, "b")
    texts = [json.dumps({"predicates": [predicate]}) for predicate in REFUSED]
    for text in (*texts, "{", "[]", '{"predicates": {}}', '{"or": []}'):
        answer = await api.get(LISTS[kind][0], params={"filter": text})
        assert (answer.status_code, answer.json()["code"]) == (400, 3), (text, answer.text)
        assert "Invalid input error" in answer.json()["message"]
