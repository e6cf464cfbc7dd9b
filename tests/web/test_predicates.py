"""Filters, in each spelling that clients use."""

import json
from typing import Any
from urllib.parse import quote_plus

import pytest

from flowdeck.kube.errors import BadRequest
from flowdeck.web.listing import Op, Predicate
from flowdeck.web.predicates import predicates_of

KEYS = ("name", "created_at", "state", "tags.")


def read(*predicates: Any) -> tuple[Predicate, ...]:
    return predicates_of(json.dumps({"predicates": list(predicates)}), KEYS)


@pytest.mark.parametrize("op", [1, "EQUALS"])
@pytest.mark.parametrize("field", ["string_value", "stringValue"])
def test_both_spellings(op: Any, field: str) -> None:
    assert read({"operation": op, "key": "name", field: "x"}) == (Predicate("name", Op.EQUALS, "x"),)


@pytest.mark.parametrize("number", [1, 2, 3, 5, 6, 7])
def test_scalars_of_each_type(number: int) -> None:
    op = read({"operation": number, "key": "name", "int_value": 3})[0].op
    assert read({"operation": op.value, "key": "name", "longValue": "9007199254740993"}) == (
        Predicate("name", op, 9007199254740993),
    )
    assert read({"operation": number, "key": "created_at", "timestamp_value": "1970-01-01T00:01:00Z"}) == (
        Predicate("created_at", op, 60),
    )


def test_lists() -> None:
    assert read({"operation": 8, "key": "state", "string_values": {"values": ["A", "B"]}}) == (
        Predicate("state", Op.IN, ("A", "B")),
    )
    assert read({"operation": "IN", "key": "name", "intValues": {"values": [1, "2"]}}) == (
        Predicate("name", Op.IN, (1, 2)),
    )


def test_tags_are_compared_for_equality() -> None:
    assert read({"operation": 1, "key": "tags.team", "string_value": "x"})[0].key == "tags.team"
    with pytest.raises(BadRequest, match="EQUALS"):
        read({"operation": 9, "key": "tags.team", "string_value": "x"})


def test_what_was_encoded_twice_is_read_and_what_was_encoded_once_stays() -> None:
    text = json.dumps({"predicates": [{"operation": 1, "key": "name", "string_value": "50%+x%20"}]})
    assert predicates_of(text, KEYS)[0].value == "50%+x%20"
    assert predicates_of(quote_plus(text), KEYS)[0].value == "50%+x%20"


@pytest.mark.parametrize(
    "predicate",
    [
        pytest.param("x", id="no-object"),
        pytest.param({"operation": 1, "key": "colour", "string_value": "x"}, id="unknown-key"),
        pytest.param({"operation": 1, "key": "tags.", "string_value": "x"}, id="tag-without-name"),
        pytest.param({"operation": 4, "key": "name", "string_value": "x"}, id="unused-number"),
        pytest.param({"operation": True, "key": "name", "string_value": "x"}, id="true-is-no-number"),
        pytest.param({"operation": [], "key": "name", "string_value": "x"}, id="list-as-operation"),
        pytest.param({"operation": "LIKE", "key": "name", "string_value": "x"}, id="unknown-operation"),
        pytest.param({"operation": 1, "key": "name"}, id="no-value"),
        pytest.param({"operation": 1, "key": "name", "string_value": "x", "int_value": 1}, id="two-values"),
        pytest.param({"operation": 1, "key": "name", "string_value": "x", "colour": 1}, id="unknown-field"),
        pytest.param({"operation": 1, "key": "name", "string_values": {"values": ["x"]}}, id="equals-with-list"),
        pytest.param({"operation": 8, "key": "name", "string_value": "x"}, id="in-with-scalar"),
        pytest.param({"operation": 8, "key": "name", "string_values": ["x"]}, id="bare-list"),
        pytest.param({"operation": 8, "key": "name", "string_values": {"values": []}}, id="empty-list"),
        pytest.param({"operation": 9, "key": "name", "int_value": 1}, id="substring-of-number"),
        pytest.param({"operation": 1, "key": "name", "string_value": 1}, id="number-as-text"),
        pytest.param({"operation": 1, "key": "name", "int_value": "x"}, id="text-as-number"),
        pytest.param({"operation": 1, "key": "name", "int_value": str(2**63)}, id="more-than-64-bits"),
        pytest.param({"operation": 1, "key": "name", "int_value": "9" * 5000}, id="a-number-without-end"),
        pytest.param({"operation": 1, "key": "name", "int_value": 1.5}, id="half-a-number"),
        pytest.param({"operation": 1, "key": "name", "timestamp_value": "yesterday"}, id="no-time"),
        pytest.param({"operation": 1, "key": "name", "timestamp_value": "2026-01-01T00:00:00"}, id="whose-time"),
    ],
)
def test_what_is_refused(predicate: Any) -> None:
    with pytest.raises(BadRequest, match="Invalid input error"):
        read(predicate)


@pytest.mark.parametrize("text", ["x", "[]", '{"a": 1}', '{"predicates": 1}', '{"predicates": {}}', "[" * 100_000])
def test_what_is_no_filter_is_refused(text: str) -> None:
    with pytest.raises(BadRequest, match="Invalid input error"):
        predicates_of(text, KEYS)
