"""YAML is read as Kubernetes reads it, and no text can bring the reader down."""

import pytest

from flowdeck.kube.yaml_text import MAX_DEPTH, YamlError, load, load_all

READ = {
    "": None,
    "a: 1": {"a": 1},
    "a: [x, 'y', \"z\", ~, null, true, No, 1.5, 0x10]": {"a": ["x", "y", "z", None, None, True, False, 1.5, 16]},
    "{a: {b: [{c: d}]}}": {"a": {"b": [{"c": "d"}]}},
    "a: 2026-01-01": {"a": "2026-01-01"},
    "a: 2026-01-01T00:00:00Z": {"a": "2026-01-01T00:00:00Z"},
    "a: 12:30": {"a": "12:30"},
    "a: '1'": {"a": "1"},
    "a: !!str 1": {"a": "1"},
    "a: !!int '1'": {"a": 1},
    "a: !x-mine 1": YamlError,
    "1: a\ntrue: b\n~: c\n1.5: d": {"1": "a", "true": "b", "null": "c", "1.5": "d"},
    "a: &x {b: 1}\nc: *x": {"a": {"b": 1}, "c": {"b": 1}},
    "x: &x {a: 1, b: 2}\ny: {<<: *x, b: 3}": {"x": {"a": 1, "b": 2}, "y": {"a": 1, "b": 3}},
    "x: &x k\ny: {*x : 1}": {"x": "k", "y": {"k": 1}},
    "a: |\n  one\n  two\n": {"a": "one\ntwo\n"},
    "a: *x": YamlError,
    "a: &x [*x]": YamlError,
    "{<<: 1}": YamlError,
    "? [a]\n: b": YamlError,
    "a: !!binary aGVsbG8=": YamlError,
    "a: !!set {b}": YamlError,
    "a: !!python/object/apply:os.system [ls]": YamlError,
    "a: !!int x": YamlError,
    "a: 1\n---\nb: 2": YamlError,
    "a: [": YamlError,
    b"\xff\xfe\xff": YamlError,
}


@pytest.mark.parametrize(("text", "value"), [pytest.param(*pair, id=repr(pair[0])) for pair in READ.items()])
def test_texts_are_read_as_kubernetes_reads_them(text, value):
    if value is YamlError:
        with pytest.raises(YamlError):
            load(text)
    else:
        assert load(text) == value


def test_documents_are_read_one_after_the_other():
    assert list(load_all("a: 1\n---\n---\nb: 2\n")) == [{"a": 1}, None, {"b": 2}]


def test_what_an_alias_stands_for_is_a_value_of_its_own():
    value = load("a: &x {b: 1}\nc: *x")
    value["a"]["b"] = 2
    assert value["c"] == {"b": 1}


def a_chain_of_aliases(of, count):
    links = ["- &a0 [1]"] + [f"- &a{n} {of.format(f'*a{n - 1}')}" for n in range(1, count)]
    return "\n".join(links)


DEEP = {
    "flow": "[" * 1_000_000,
    "block": "- " * 100_000,
    "mappings": "{a: " * 100_000,
    "just too deep": "[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1),
    "aliases": a_chain_of_aliases("[{}]", MAX_DEPTH + 1),
    "laughs": a_chain_of_aliases("[{0}, {0}, {0}, {0}, {0}, {0}, {0}, {0}, {0}]", 12),
}


@pytest.mark.parametrize("text", DEEP.values(), ids=DEEP)
def test_what_is_too_deep_or_too_large_is_refused(text):
    with pytest.raises(YamlError, match=r"depth|aliasing"):
        load(text)


def test_what_is_as_deep_as_may_be_is_read():
    value = load("[" * MAX_DEPTH + "]" * MAX_DEPTH)
    for _ in range(MAX_DEPTH - 1):
        (value,) = value
    assert value == []
