"""Parameters: types, texts, selectors, conditions, paths."""

from typing import Any

import pytest

from flowdeck.components.pipelines.values.conditions import Condition, ConditionError
from flowdeck.components.pipelines.values.parameter_types import (
    ParameterType,
    TypeMismatch,
    checked,
    coerced,
    from_text,
)
from flowdeck.components.pipelines.values.paths import local_path, task_root
from flowdeck.components.pipelines.values.selectors import SelectorError, problem_with, selected
from flowdeck.components.pipelines.values.texts import to_text

T = ParameterType


@pytest.mark.parametrize(
    ("value", "kind", "result"),
    [
        ("a", T.STRING, "a"),
        (3, T.NUMBER_INTEGER, 3),
        (3.0, T.NUMBER_INTEGER, 3),
        (2**53, T.NUMBER_INTEGER, 2**53),
        (3, T.NUMBER_DOUBLE, 3),
        (0.5, T.NUMBER_DOUBLE, 0.5),
        (True, T.BOOLEAN, True),
        ([1], T.LIST, [1]),
        ({"a": 1}, T.STRUCT, {"a": 1}),
    ],
)
def test_a_value_of_its_type_is_taken(value: Any, kind: ParameterType, result: Any) -> None:
    assert checked(value, kind) == result
    assert type(checked(value, kind)) is type(result)


@pytest.mark.parametrize(
    ("value", "kind", "why"),
    [
        (1, T.STRING, "expect STRING, got number"),
        ("1", T.NUMBER_INTEGER, "expect NUMBER_INTEGER, got string"),
        (1.5, T.NUMBER_INTEGER, "expect NUMBER_INTEGER, got number 1.5"),
        (2**53 + 2, T.NUMBER_INTEGER, "expect NUMBER_INTEGER, got number"),
        (True, T.NUMBER_INTEGER, "got boolean"),
        ("x", T.NUMBER_DOUBLE, "got string"),
        (1, T.BOOLEAN, "got number"),
        ({}, T.LIST, "got struct"),
        ([], T.STRUCT, "got list"),
        (None, T.LIST, "got null"),
    ],
)
def test_a_value_of_another_type_is_not(value: Any, kind: ParameterType, why: str) -> None:
    with pytest.raises(TypeMismatch, match=why):
        checked(value, kind)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a b", "a b"),
        (1000000, "1000000"),
        (1e6, "1000000"),
        (1e22, "10000000000000000000000"),
        (0.1, "0.1"),
        (1e-7, "0.0000001"),
        (-2.50, "-2.5"),
        (True, "true"),
        (False, "false"),
        (None, ""),
        ([1, "a", 2.0, None], '[1,"a",2,null]'),
        ({"a": {"b": 1.0}}, '{"a":{"b":1}}'),
        ("", ""),
    ],
)
def test_a_value_has_one_text(value: Any, text: str) -> None:
    assert to_text(value) == text
    if value is not None:
        assert coerced(value, T.STRING) == text


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        (" x\n", T.STRING, " x\n"),
        ("3\n", T.NUMBER_INTEGER, 3),
        ("3.0", T.NUMBER_INTEGER, 3),
        ("1e3", T.NUMBER_DOUBLE, 1000.0),
        ("True", T.BOOLEAN, True),
        ("false", T.BOOLEAN, False),
        ("1\n", T.BOOLEAN, True),
        ("0", T.BOOLEAN, False),
        ('[1, "a"]', T.LIST, [1, "a"]),
        ("{}", T.STRUCT, {}),
    ],
)
def test_what_a_program_leaves_is_read_as_declared(text: str, kind: ParameterType, value: Any) -> None:
    assert from_text(text, kind) == value


@pytest.mark.parametrize(("text", "kind"), [("x", T.NUMBER_INTEGER), ("", T.LIST), ("1", T.STRUCT), ("yes", T.BOOLEAN)])
def test_what_a_program_leaves_may_be_wrong(text: str, kind: ParameterType) -> None:
    with pytest.raises(TypeMismatch, match=f"expect {kind.name}"):
        from_text(text, kind)


# ---- selectors ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "selector", "found"),
    [
        ('{"a": 1}', 'parseJson(string_value)["a"]', 1),
        ({"a": {"b": [7, 8]}}, 'parseJson(string_value)["a"]["b"][1]', 8),
        ({"a-b": "x"}, "parseJson(string_value)['a-b']", "x"),
        ("[1, 2]", "parseJson(string_value)", [1, 2]),
        ("abc", "string_value + '!'", "abc!"),
        ({"a": [1, 2, 3]}, "size(parseJson(string_value).a)", 3),
    ],
)
def test_a_selector_finds_a_part(value: Any, selector: str, found: Any) -> None:
    assert problem_with(selector) == ""
    assert selected(value, selector) == found


@pytest.mark.parametrize(
    ("value", "selector", "why"),
    [
        ({"b": 1}, 'parseJson(string_value)["a"]', "finds nothing in"),
        ([1], "parseJson(string_value)[4]", "finds nothing in"),
        ("no json", 'parseJson(string_value)["a"]', "is no JSON"),
        ({"b": 1}, "parseJson(string_value).a", "finds nothing in"),
    ],
)
def test_a_selector_that_finds_nothing_says_so(value: Any, selector: str, why: str) -> None:
    with pytest.raises(SelectorError, match=why):
        selected(value, selector)


def test_a_selector_that_is_no_cel_is_told_at_upload() -> None:
    assert problem_with("parseJson(string_value)[") != ""


# ---- conditions --------------------------------------------------------------------------------------------------

P = "inputs.parameter_values"


@pytest.mark.parametrize(
    ("text", "parameters", "result"),
    [
        (f"{P}['a'] == 'heads'", {"a": "heads"}, True),
        (f"{P}['a'] != 'heads'", {"a": "heads"}, False),
        (f"'heads' == {P}['a']", {"a": "heads"}, True),
        (f"{P}['a'] == {P}['b']", {"a": "x", "b": "x"}, True),
        (f"int({P}['a']) > 5", {"a": 6}, True),
        (f"int({P}['a']) >= 5", {"a": 5}, True),
        (f"int({P}['a']) < 5", {"a": 5}, False),
        (f"double({P}['a']) <= 0.5", {"a": 0.5}, True),
        (f"{P}['a'] == true", {"a": True}, True),
        (f"{P}['a'] == false", {"a": True}, False),
        (f"!({P}['a'] == 'x')", {"a": "y"}, True),
        (f"!({P}['a'] == 'x') && {P}['a'] == 'y'", {"a": "y"}, True),
        (f"!({P}['a'] == 'x') && !({P}['a'] == 'y')", {"a": "z"}, True),
        (f"{P}['a'] == 5", {"a": 5}, True),
        (f"size({P}['a']) == 2", {"a": [1, 2]}, True),
        (f"'k' in {P}['a']", {"a": {"k": 1}}, True),
        (f"inputs['parameter_values']['a'] == 'x'", {"a": "x"}, True),  # noqa: F541
        (f"{P}['a'] == 'it's'", {"a": "it's"}, True),
        (f"!({P}['a'] == 'it's') && {P}['a'] == 'a 'b' c'", {"a": "a 'b' c"}, True),
        (f"{P}['a'] == 'two\nlines'", {"a": "two\nlines"}, True),
        (f"{P}['a'] != 'a \"q\" \\ b'", {"a": 'a "q" \\ b'}, False),
    ],
)
def test_a_condition_holds_or_not(text: str, parameters: Any, result: bool) -> None:
    assert Condition(text).holds(parameters) is result


@pytest.mark.parametrize("text", ["inputs.", "a +", f"{P}['a'"])
def test_a_condition_that_is_no_cel_is_told(text: str) -> None:
    with pytest.raises(ConditionError, match="cannot be read"):
        Condition(text)


def test_a_condition_without_a_value_or_without_a_truth_is_told() -> None:
    with pytest.raises(ConditionError, match="no such key: a"):
        Condition(f"{P}['a'] == 'x'").holds({})
    with pytest.raises(ConditionError, match="neither true nor false"):
        Condition(f"{P}['a']").holds({"a": "x"})


def test_a_condition_knows_what_it_reads() -> None:
    assert Condition(f"{P}['a'] == {P}[\"b\"]").reads == {"a", "b"}
    assert Condition("size(inputs.parameter_values) == 2").reads is None


# ---- paths -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("gs://b/k", "/gcs/b/k"),
        ("minio://b/k/", "/minio/b/k/"),
        ("s3://b/k", "/s3/b/k"),
        ("oci://ghcr.io/a/b:1", "/oci/ghcr.io_a_b:1/models"),
        ("/plain/path", "/plain/path"),
        ("file:///x", "file:///x"),
        ("https://x/y", "https://x/y"),
    ],
)
def test_user_code_finds_a_uri_at_its_path(uri: str, path: str) -> None:
    assert local_path(uri) == path


def test_the_root_of_a_task_leaves_the_query_out() -> None:
    assert task_root("s3://b/p/?region=x", "pipe", "run", "task", "u") == "s3://b/p/pipe/run/task/u"
