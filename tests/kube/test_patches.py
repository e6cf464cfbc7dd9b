"""A JSON patch or merge patch changes an object as kube-apiserver would, or is refused in its words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowdeck.kube.errors import BadRequest, Invalid, RequestEntityTooLarge
from flowdeck.kube.patches import REJECTED, apply_json_patch, apply_merge_patch

DOC = {"a": {"b": [1, 2, 3]}, "x/y": 1, "m~n": None}


@pytest.mark.parametrize(
    ("operation", "after"),
    [
        pytest.param({"op": "add", "path": "/a/c", "value": 1}, {"a": {"b": [1, 2, 3], "c": 1}}, id="add-key"),
        pytest.param({"op": "add", "path": "/a/b/1", "value": 9}, {"a": {"b": [1, 9, 2, 3]}}, id="insert"),
        pytest.param({"op": "add", "path": "/a/b/-", "value": 9}, {"a": {"b": [1, 2, 3, 9]}}, id="append"),
        pytest.param({"op": "add", "path": "/a/b/-1", "value": 9}, {"a": {"b": [1, 2, 3, 9]}}, id="negative-index"),
        pytest.param({"op": "remove", "path": "/a/b/0"}, {"a": {"b": [2, 3]}}, id="remove-item"),
        pytest.param({"op": "remove", "path": "/a/b/-1"}, {"a": {"b": [1, 2]}}, id="remove-last"),
        pytest.param({"op": "replace", "path": "/a/b/1", "value": None}, {"a": {"b": [1, None, 3]}}, id="null"),
        pytest.param({"op": "replace", "path": "/x~1y", "value": 2}, {"x/y": 2}, id="escaped-slash"),
        pytest.param({"op": "test", "path": "/m~0n", "value": None}, {}, id="test-null"),
        pytest.param({"op": "test", "path": "/missing"}, {}, id="test-missing-is-null"),
        pytest.param({"op": "move", "from": "/a/b/0", "path": "/a/b/2"}, {"a": {"b": [2, 3, 1]}}, id="move"),
        pytest.param({"op": "copy", "from": "/a", "path": "/c"}, {"c": {"b": [1, 2, 3]}}, id="copy"),
    ],
)
def test_an_operation_changes_the_object(operation, after):
    assert apply_json_patch(DOC, [operation]) == {**DOC, **after}


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "remove", "path": "/missing"},
        {"op": "replace", "path": "/missing/more", "value": 1},
        {"op": "add", "path": "/no/parent", "value": 1},
        {"op": "add", "path": "/a/b/9", "value": 1},
        {"op": "add", "path": "/a/b/x", "value": 1},
        {"op": "add", "path": "a", "value": 1},
        {"op": "add", "path": "/a"},
        {"op": "test", "path": "/a/b/0", "value": 2},
        {"op": "test", "path": "/a/b/0", "value": True},
        {"op": "move", "from": "/a", "path": "/a/b"},
        {"op": "shout", "path": "/a"},
    ],
)
def test_an_operation_that_does_not_fit_is_rejected(operation):
    with pytest.raises(Invalid, match=REJECTED):
        apply_json_patch(DOC, [operation])


def test_a_field_that_is_missing_is_null_to_who_replaces_or_copies_it():
    assert apply_json_patch(DOC, [{"op": "replace", "path": "/new", "value": 1}])["new"] == 1
    assert apply_json_patch(DOC, [{"op": "copy", "from": "/missing", "path": "/new"}])["new"] is None


def test_a_patch_that_is_no_list_of_operations_is_a_bad_request():
    with pytest.raises(BadRequest, match=r"cannot unmarshal object into Go value of type \[\]handlers\.jsonPatchOp"):
        apply_json_patch(DOC, {"op": "add"})


def test_a_patch_with_too_many_operations_is_too_large():
    with pytest.raises(RequestEntityTooLarge, match="maximum operations in a JSON patch is 10000, got 10001"):
        apply_json_patch(DOC, [{"op": "test", "path": "/x~1y", "value": 1}] * 10001)


def test_a_merge_patch_merges_objects_and_removes_nulls():
    patched = apply_merge_patch({"a": {"b": 1, "c": 2}, "l": [1, 2]}, {"a": {"b": None, "d": {"e": None}}, "l": [3]})
    assert patched == {"a": {"c": 2, "d": {}}, "l": [3]}


def test_a_merge_patch_must_be_an_object():
    with pytest.raises(BadRequest):
        apply_merge_patch({}, [1])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text("ab/~", max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab/~", max_size=2), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text("ab/~", max_size=2), JSON, max_size=4)


@given(OBJECTS, OBJECTS)
def test_a_merge_patch_never_changes_its_input_and_is_idempotent(obj, patch):
    before = repr(obj)
    once = apply_merge_patch(obj, patch)
    assert repr(obj) == before
    assert apply_merge_patch(once, patch) == once


@given(OBJECTS, JSON)
def test_replacing_the_root_of_an_added_key_is_read_back_by_test(obj, value):
    operations = [{"op": "add", "path": "/k", "value": value}, {"op": "test", "path": "/k", "value": value}]
    assert apply_json_patch(obj, operations)["k"] == value
