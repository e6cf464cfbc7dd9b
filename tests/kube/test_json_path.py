"""JSONPath as printer columns and scale paths use it."""

import pytest

from flowdeck.kube.json_path import compile_path, set_at

OBJ = {
    "metadata": {"annotations": {"a.b/c": "x"}},
    "list": [1, 2, 3],
    "status": {"conditions": [{"type": "A", "status": "True"}, {"type": "Ready", "status": "False", "n": 3}]},
}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (".list[0]", [1]),
        (".list[-1:]", [3]),
        (".list[0,2]", [1, 3]),
        (".list[*]", [1, 2, 3]),
        ("{.list[1:]}", [2, 3]),
        ("$.list[9]", []),
        (".missing.deeper", []),
        (".metadata.annotations.a\\.b/c", ["x"]),
        (".metadata.annotations['a.b/c']", ["x"]),
        (".status.conditions[-1:].type", ["Ready"]),
        ('.status.conditions[?(@.type=="Ready")].status', ["False"]),
        (".status.conditions[?(@.type=='A')].status", ["True"]),
        (".status.conditions[?(@.n>2)].type", ["Ready"]),
        (".status.conditions[?(@.n)].type", ["Ready"]),
        ("..type", ["A", "Ready"]),
    ],
)
def test_a_path_finds_its_values(path: str, found: list[object]) -> None:
    assert compile_path(path).find(OBJ) == found


@pytest.mark.parametrize("path", [".a[", ".a[?(@.b==c)]", ".a[x]"])
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match=r"path|constant"):
        compile_path(path)


def test_a_field_is_set_on_a_way_that_is_made() -> None:
    obj: dict[str, object] = {}
    set_at(obj, ".spec.replicas", 3)
    assert obj == {"spec": {"replicas": 3}}
