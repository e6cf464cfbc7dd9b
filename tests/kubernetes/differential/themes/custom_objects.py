"""Objects of custom kinds: what their schema takes, prunes, fills in and refuses; CEL rules; columns, fields, parts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flowdeck.kube.objects import Tree
from tests.kubernetes.differential.makers import custom, definition
from tests.kubernetes.differential.scenario import (
    YAML,
    Scenario,
    Step,
    apply,
    create,
    delete,
    events,
    get,
    json_patch,
    merge,
    scenario,
    strategic,
    table,
    update,
    watch,
)
from tests.kubernetes.differential.scenes import FOOS, made, served


def spec_of(*required: str, **properties: Any) -> Tree:
    """A schema whose `spec` has these properties."""
    spec: Tree = {"type": "object", "properties": properties}
    if required:
        spec["required"] = list(required)
    return {"type": "object", "properties": {"spec": spec, "status": _ANYTHING}}


def _ruled(schema: Tree, *rules: Tree | str) -> Tree:
    """The schema with CEL rules; a text is a rule without more."""
    return {**schema, "x-kubernetes-validations": [{"rule": r} if isinstance(r, str) else r for r in rules]}


@dataclass(frozen=True)
class _Case:
    """A field of `spec`, and what it is given."""

    name: str
    schema: Tree
    values: Sequence[Any]


def _case(name: str, schema: Tree, *values: Any) -> _Case:
    return _Case(name.title().replace(" ", ""), schema, values)


def _takes(name: str, *cases: _Case) -> Scenario:
    """An object for each value of each field."""
    return scenario(
        name,
        served(spec_of(**{case.name: case.schema for case in cases})),
        *(
            create(FOOS, custom(name=f"{case.name.lower()}-{at}", spec={case.name: value}))
            for case in cases
            for at, value in enumerate(case.values)
        ),
    )


def _changes(name: str, *cases: _Case) -> Scenario:
    """An object for each field, which becomes one value after the other."""
    steps: list[Step] = []
    for case in cases:
        steps.append(create(FOOS, custom(name=case.name.lower(), spec={case.name: case.values[0]})))
        steps += [merge(f"{FOOS}/{case.name.lower()}", {"spec": {case.name: value}}) for value in case.values[1:]]
    return scenario(name, served(spec_of(**{case.name: case.schema for case in cases})), steps)


_ANYTHING: Tree = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
_TEXT: Tree = {"type": "string"}
_NUMBER: Tree = {"type": "integer"}
_FORMATS = {
    "date": ("2020-01-02", "2020-13-02", "x"),
    "date-time": ("2020-01-02T03:04:05Z", "2020-01-02", "2020-01-02T03:04:05+01:00"),
    "byte": ("eA==", "?"),
    "ipv4": ("1.2.3.4", "1.2.3", "::1"),
    "ipv6": ("::1", "1.2.3.4"),
    "cidr": ("10.0.0.0/8", "10.0.0.0"),
    "uri": ("http://a/b", "a b"),
    "email": ("a@b.c", "a"),
    "hostname": ("a.b", "a_b"),
    "uuid": ("00000000-0000-0000-0000-00000000000a", "x"),
    "duration": ("1h2m", "1 hour", "x"),
    "unknown": ("anything",),
}

SCENARIOS: Sequence[Scenario] = [
    _takes(
        "numbers and texts",
        _case(
            "numbers",
            {"type": "integer", "minimum": 1, "maximum": 9, "multipleOf": 2},
            2,
            1,
            0,
            10,
            3,
            2.0,
            2.5,
            "2",
            None,
        ),
        _case(
            "open ranges",
            {"type": "number", "minimum": 1, "exclusiveMinimum": True, "maximum": 2, "exclusiveMaximum": True},
            1.5,
            1,
            2,
            1e300,
        ),
        _case("int32", {"type": "integer", "format": "int32"}, 1, 2147483648, -2147483649, 1e3),
        _case("int64", {"type": "integer", "format": "int64"}, 9007199254740993, 9223372036854775807),
        _case(
            "texts",
            {"type": "string", "minLength": 2, "maxLength": 4, "pattern": "^a[bc]*$"},
            "ab",
            "a",
            "abbbb",
            "xy",
            "äöüß",
            5,
            True,
            ["a"],
            {"a": "b"},
        ),
        _case("choices", {"type": "string", "enum": ["a", "b", ""]}, "a", "", "c", "A"),
        _case("numbers to choose from", {"type": "integer", "enum": [1, 2]}, 1, 3),
        _case("truths", {"type": "boolean"}, True, "true", 1),
        _case(
            "lists",
            {"type": "array", "minItems": 1, "maxItems": 2, "items": {"type": "integer"}},
            [1],
            [],
            [1, 2, 3],
            ["x"],
            [1, None],
            "x",
            {"a": 1},
        ),
        _case(
            "sets", {"type": "array", "items": _TEXT, "x-kubernetes-list-type": "set"}, ["a", "b"], ["a", "a", "b", "b"]
        ),
        _case(
            "lists by key",
            {
                "type": "array",
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["name", "port"],
                "items": {
                    "type": "object",
                    "required": ["name"],
                    "properties": {"name": _TEXT, "port": {"type": "integer", "default": 80}, "v": _TEXT},
                },
            },
            [{"name": "a"}, {"name": "a", "port": 81}],
            [{"name": "a"}, {"name": "a", "port": 80}],
            [{"port": 80}],
            [{"name": "a", "v": "1", "unknown": 1}],
        ),
        _case(
            "maps",
            {"type": "object", "minProperties": 1, "maxProperties": 2, "additionalProperties": {"type": "integer"}},
            {"a": 1},
            {},
            {"a": 1, "b": 2, "c": 3},
            {"a": "x"},
            {"a": None},
            [],
        ),
        _case("numbers or texts", {"x-kubernetes-int-or-string": True}, 1, "1", 1.5, True, None, []),
        _case(
            "numbers or texts with a pattern",
            {
                "x-kubernetes-int-or-string": True,
                "anyOf": [{"type": "integer"}, {"type": "string"}],
                "pattern": "^[0-9]+%$",
            },
            1,
            "5%",
            "x",
        ),
        _case(
            "what may be null",
            {"type": "object", "nullable": True, "properties": {"a": {"type": "string", "nullable": True}, "b": _TEXT}},
            None,
            {"a": None},
            {"b": None},
        ),
        _case("anything", {"x-kubernetes-preserve-unknown-fields": True}, 1, "x", {"a": {"b": None}}, [1, "x"], None),
        _case(
            "one of",
            {
                "type": "object",
                "properties": {"a": _TEXT, "b": _TEXT},
                "oneOf": [{"required": ["a"]}, {"required": ["b"]}],
            },
            {"a": "1"},
            {},
            {"a": "1", "b": "2"},
        ),
        _case(
            "any of",
            {
                "type": "object",
                "properties": {"a": _TEXT, "b": _TEXT},
                "anyOf": [{"required": ["a"]}, {"required": ["b"]}],
            },
            {"a": "1", "b": "1"},
            {},
        ),
        _case(
            "all of and not",
            {"type": "integer", "allOf": [{"minimum": 2}, {"maximum": 5}], "not": {"enum": [3]}},
            2,
            1,
            3,
            6,
        ),
    ),
    _takes(
        "formats", *(_case(f"{name}", {"type": "string", "format": name}, *values) for name, values in _FORMATS.items())
    ),
    scenario(
        "required fields",
        served(
            {
                "type": "object",
                "required": ["spec"],
                "properties": {
                    "spec": {
                        "type": "object",
                        "required": ["a", "b"],
                        "properties": {
                            "a": _TEXT,
                            "b": {"type": "object", "required": ["c"], "properties": {"c": _TEXT}},
                        },
                    }
                },
            }
        ),
        create(FOOS, custom()),
        create(FOOS, custom(spec={})),
        create(FOOS, custom(spec={"a": "1", "b": {}})),
        create(FOOS, custom(spec=None)),
        create(FOOS, custom(spec="x")),
        create(FOOS, custom(spec={"a": "1", "b": {"c": "2"}})),
        json_patch(f"{FOOS}/a", ("remove", "/spec/a")),
        update(f"{FOOS}/a", custom(spec={"a": "1"})),
    ),
    scenario(
        "pruning",
        served(
            spec_of(
                a=_TEXT,
                free=_ANYTHING,
                half={**_ANYTHING, "properties": {"a": {"type": "object", "properties": {"b": _TEXT}}}},
                items={"type": "array", "items": {"type": "object", "properties": {"a": _TEXT}}},
            )
        ),
        create(
            FOOS,
            custom(
                spec={
                    "a": "1",
                    "z": 1,
                    "free": {"x": {"y": 1}},
                    "half": {"q": 1, "a": {"b": "1", "c": 2}},
                    "items": [{"a": "1", "b": 2}],
                },
                top=1,
            ),
        ),
        create(FOOS, custom(name="b", spec={"z": 1, "items": [{"b": 2}]}, top=1), fieldValidation="Warn"),
        create(FOOS, custom(name="c", spec={"z": 1, "items": [{"b": 2}]}, top=1), fieldValidation="Strict"),
        create(FOOS, custom(name="d", spec={"z": 1}), fieldValidation="Ignore"),
        merge(f"{FOOS}/a", {"spec": {"y": 1}}),
        merge(f"{FOOS}/a", {"spec": {"y": 1}}, fieldValidation="Strict"),
        create(FOOS, custom(name="e", metadata={"unknown": 1, "labels": {"a": "b"}}), fieldValidation="Strict"),
        create(FOOS, custom(name="f", metadata={"labels": {"a": 1}})),
        create(FOOS, custom(name="g", metadata={"labels": {"a": None}, "annotations": None})),
    ),
    scenario(
        "defaults",
        served(
            spec_of(
                a={"type": "string", "default": "d"},
                b={"type": "object", "default": {}, "properties": {"c": {"type": "integer", "default": 5}}},
                e={"type": "object", "properties": {"f": {"type": "boolean", "default": True}}},
                n={"type": "string", "nullable": True, "default": "n"},
                items={
                    "type": "array",
                    "items": {"type": "object", "properties": {"p": {"type": "string", "default": "TCP"}}},
                },
                each={
                    "type": "object",
                    "additionalProperties": {"type": "object", "properties": {"p": {"type": "integer", "default": 1}}},
                },
            )
        ),
        create(FOOS, custom()),
        create(FOOS, custom(name="b", spec={})),
        create(
            FOOS, custom(name="c", spec={"a": None, "n": None, "e": {}, "items": [{}, {"p": "UDP"}], "each": {"x": {}}})
        ),
        merge(f"{FOOS}/b", {"spec": {"a": None}}),
        json_patch(f"{FOOS}/b", ("remove", "/spec/b/c")),
        apply(f"{FOOS}/z", custom(name="z", spec={"a": "mine"})),
    ),
    scenario(
        "embedded objects",
        served(
            spec_of(
                o={
                    "type": "object",
                    "x-kubernetes-embedded-resource": True,
                    "x-kubernetes-preserve-unknown-fields": True,
                },
                p={
                    "type": "object",
                    "x-kubernetes-embedded-resource": True,
                    "properties": {"spec": {"type": "object", "properties": {"a": _TEXT}}},
                },
            )
        ),
        create(FOOS, custom(spec={"o": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "any": 1}})),
        create(FOOS, custom(name="b", spec={"o": {}})),
        create(
            FOOS,
            custom(
                name="c",
                spec={"o": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "Bad_", "labels": {"a b": "c"}}}},
            ),
        ),
        create(
            FOOS,
            custom(
                name="d",
                spec={
                    "p": {
                        "apiVersion": "v1",
                        "kind": "Pod",
                        "metadata": {"name": "x", "unknown": 1},
                        "spec": {"a": "1", "b": 2},
                        "z": 1,
                    }
                },
            ),
        ),
        create(FOOS, custom(name="e", spec={"o": {"apiVersion": "v1", "kind": "Pod", "metadata": "x"}})),
        create(FOOS, custom(name="f", spec={"o": {"apiVersion": "a/b/c", "kind": "a b"}})),
    ),
    scenario(
        "metadata with rules",
        served(
            {
                "type": "object",
                "properties": {
                    "metadata": {
                        "type": "object",
                        "properties": {"name": {"type": "string", "maxLength": 3, "pattern": "^[a-z]+$"}},
                    }
                },
            }
        ),
        create(FOOS, custom(name="abc")),
        create(FOOS, custom(name="abcd")),
        create(FOOS, custom(name="a1")),
        create(FOOS, custom(name="UP")),
        create(FOOS, custom(metadata={"name": None, "generateName": "ab-"})),
    ),
    _takes(
        "rules",
        _case("a rule", _ruled(_NUMBER, "self > 1"), 2, 1),
        _case(
            "a rule with words",
            _ruled(_NUMBER, {"rule": "self > 1", "message": "must be more", "reason": "FieldValueForbidden"}),
            2,
            1,
        ),
        _case(
            "a rule that speaks",
            _ruled(
                {"type": "object", "properties": {"a": _NUMBER, "b": _NUMBER}},
                {
                    "rule": "self.a <= self.b",
                    "messageExpression": "self.a > 3 ? 'a is big' : 'a is small'",
                    "fieldPath": ".a",
                    "reason": "FieldValueRequired",
                },
            ),
            {"a": 1, "b": 2},
            {"a": 2, "b": 1},
            {"a": 2},
        ),
        _case(
            "a rule whose words fail",
            _ruled(
                {"type": "object", "properties": {"a": _NUMBER, "b": _NUMBER}},
                {
                    "rule": "self.a > 5",
                    "messageExpression": "self.b > 3 ? 'b is big' : 'b is small'",
                    "message": "fixed",
                },
            ),
            {"a": 1, "b": 2},
            {"a": 1},
        ),
        _case(
            "rules of several",
            _ruled(
                {
                    "type": "object",
                    "properties": {
                        "a": _ruled(_NUMBER, "self > 0"),
                        "b": _ruled({"type": "string", "maxLength": 5}, "self.startsWith('b')"),
                    },
                },
                "has(self.a)",
                "!has(self.b) || self.a > 3",
            ),
            {"a": 1, "b": "x"},  # of siblings one: their errors come in the order of Go's maps
            {},
            {"a": 2, "b": "b"},
        ),
        _case(
            "rules in lists",
            {"type": "array", "maxItems": 5, "items": _ruled({"type": "integer"}, "self % 2 == 0")},
            [2, 4],
            [1, 2, 3],
        ),
        _case(
            "rules in maps",
            {
                "type": "object",
                "maxProperties": 5,
                "additionalProperties": _ruled({"type": "integer"}, "self % 2 == 0"),
            },
            {"a": 2},
            {"a": 1, "b.c": 3},
        ),
        _case(
            "rules about all",
            _ruled(
                {"type": "array", "maxItems": 10, "items": {"type": "string", "maxLength": 10}},
                "self.all(x, x.size() > 1)",
                "self.exists_one(x, x == 'aa')",
            ),
            ["aa"],
            ["a", "aa"],
            ["aa", "aa"],
            [],
        ),
        _case(
            "rules about times",
            _ruled(
                {
                    "type": "object",
                    "properties": {
                        "t": {"type": "string", "format": "date-time"},
                        "d": {"type": "string", "format": "duration"},
                    },
                },
                "self.t > timestamp('2020-01-01T00:00:00Z')",
                "self.d < duration('1h')",
            ),
            {"t": "2021-01-01T00:00:00Z", "d": "5m"},
            {"t": "2019-01-01T00:00:00Z", "d": "2h"},
        ),
        _case(
            "rules about numbers or texts",
            _ruled({"x-kubernetes-int-or-string": True}, "type(self) == int ? self > 1 : self == 'x'"),
            2,
            1,
            "x",
            "y",
        ),
        _case(
            "rules with libraries",
            _ruled(
                {"type": "string", "maxLength": 40},
                "self.split(',').all(p, p.trim().lowerAscii() == p)",
                "!self.matches('^[0-9]+$')",
                "self.find('[0-9]+') == '' || int(self.find('[0-9]+')) < 10",
                "isQuantity('5Gi') && quantity('5Gi').isGreaterThan(quantity('1Gi'))",
            ),
            "a,b",
            "A,b",
            "12",
            "x99",
        ),
        _case(
            "rules that fail",
            _ruled(
                {
                    "type": "object",
                    "properties": {"a": _NUMBER, "l": {"type": "array", "maxItems": 5, "items": _NUMBER}},
                },
                "10 / self.a > 1",
                "self.l[3] > 0",
            ),
            {"a": 0, "l": [1]},
            {"a": 1, "l": [1, 2, 3, 4]},
        ),
        _case(
            "rules about optionals",
            _ruled(
                {"type": "object", "properties": {"a": _NUMBER, "b": _TEXT}},
                "self.?a.orValue(5) > 3",
                "self.?b.hasValue() || self.?a.hasValue()",
            ),
            {"a": 1},
            {},
            {"b": "x"},
        ),
    ),
    _changes(
        "rules about changes",
        _case(
            "a rule about changes",
            _ruled(_TEXT, {"rule": "self == oldSelf", "message": "immutable"}),
            "a",
            "a",
            "b",
            None,
        ),
        _case("a rule about what grows", _ruled(_NUMBER, "self >= oldSelf"), 1, 3, 2),
        _case(
            "a rule about what may be new",
            _ruled(_NUMBER, {"rule": "!oldSelf.hasValue() || self >= oldSelf.value()", "optionalOldSelf": True}),
            1,
            3,
            2,
        ),
        _case(
            "a rule about changes in a list",
            {
                "type": "array",
                "maxItems": 5,
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["n"],
                "items": _ruled(
                    {"type": "object", "required": ["n"], "properties": {"n": _TEXT, "v": _NUMBER}},
                    "self.v >= oldSelf.v",
                ),
            },
            [{"n": "a", "v": 1}],
            [{"n": "b", "v": 0}, {"n": "a", "v": 2}],
            [{"n": "a", "v": 1}],
        ),
    ),
    scenario(
        "rules about the whole",
        served(
            _ruled(
                {"type": "object", "properties": {"spec": {"type": "object", "properties": {"x": _NUMBER}}}},
                "self.metadata.name.startsWith('a')",
                {"rule": "!has(self.spec) || self.spec.x < 5", "message": "small"},
                {"rule": "self.kind == 'Foo' && self.apiVersion.endsWith('/v1')"},
            )
        ),
        create(FOOS, custom(name="a")),
        create(FOOS, custom(name="b")),
        create(FOOS, custom(name="c", spec={"x": 7})),
        merge(f"{FOOS}/a", {"spec": {"x": 9}}),
    ),
    scenario(
        "columns and selectable fields",
        served(
            spec_of(x=_NUMBER, y=_TEXT, t={"type": "string", "format": "date-time"}, b={"type": "boolean"}),
            additionalPrinterColumns=[
                {"name": "X", "type": "integer", "jsonPath": ".spec.x"},
                {"name": "Why", "type": "string", "jsonPath": ".spec.y", "description": "told", "priority": 1},
                {"name": "Since", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
                {"name": "On", "type": "boolean", "jsonPath": ".spec.b"},
                {"name": "Ready", "type": "string", "jsonPath": '.status.conditions[?(@.type=="Ready")].status'},
            ],
            selectableFields=[{"jsonPath": ".spec.y"}, {"jsonPath": ".spec.x"}],
        ),
        create(
            FOOS,
            custom(spec={"x": 1, "y": "one", "b": True}, status={"conditions": [{"type": "Ready", "status": "True"}]}),
        ).unseen(),
        create(FOOS, custom(name="b", spec={"x": 2, "y": "two"})).unseen(),
        table(FOOS),
        table(f"{FOOS}/a"),
        get(FOOS, fieldSelector="spec.y=one"),
        get(FOOS, fieldSelector="spec.x=2,metadata.name=b"),
        get(FOOS, fieldSelector="spec.y!=one").only("items"),
        get(FOOS, fieldSelector="spec.t=1"),
        get(FOOS, fieldSelector="metadata.uid=1"),
        watch(FOOS, fieldSelector="spec.y=two", resourceVersion="0"),
        events(1),
        merge(f"{FOOS}/a", {"spec": {"y": "two"}}).unseen(),
        merge(f"{FOOS}/a", {"spec": {"y": "three"}}).unseen(),
        events(2),
        delete(FOOS, fieldSelector="spec.y=two"),
    ),
    scenario(
        "a table without columns",
        served(),
        create(FOOS, custom()).unseen(),
        table(FOOS),
    ),
    scenario(
        "status apart",
        served(
            {
                "type": "object",
                "properties": {
                    "spec": {"type": "object", "properties": {"a": _NUMBER}},
                    "status": {"type": "object", "properties": {"b": {"type": "integer", "minimum": 1}}},
                },
            },
            subresources={"status": {}},
        ),
        create(FOOS, custom(spec={"a": 1}, status={"b": 5})),
        merge(f"{FOOS}/a", {"status": {"b": 5}}),
        merge(f"{FOOS}/a", {"spec": {"a": 2}, "metadata": {"labels": {"l": "1"}}}),
        merge(
            f"{FOOS}/a/status",
            {"status": {"b": 5}, "spec": {"a": 9}, "metadata": {"labels": {"l": "2"}, "annotations": {"x": "y"}}},
        ),
        merge(f"{FOOS}/a/status", {"status": {"b": 0}}),
        merge(f"{FOOS}/a/status", {"status": {"c": 0}}, fieldValidation="Strict"),
        update(f"{FOOS}/a/status", custom(status={"b": 7})),
        apply(f"{FOOS}/a/status", custom(status={"b": 8}), force=True),
        get(f"{FOOS}/a/status"),
        get(f"{FOOS}/a/scale"),
        delete(f"{FOOS}/a/status"),
    ),
    scenario(
        "patches of custom objects",
        served(spec_of(l={"type": "array", "items": _NUMBER}, m=_ANYTHING)),
        create(FOOS, custom(spec={"l": [1, 2], "m": {"a": 1, "b": {"c": 2}}})),
        strategic(f"{FOOS}/a", {"spec": {"l": [3]}}),
        merge(f"{FOOS}/a", {"spec": {"l": [3], "m": {"a": None}}}),
        json_patch(f"{FOOS}/a", ("add", "/spec/l/-", 4), ("test", "/spec/m/b/c", 2)),
        json_patch(f"{FOOS}/a", ("test", "/spec/m/b/c", 3)),
        json_patch(f"{FOOS}/a", ("replace", "/kind", "Other")),
        merge(f"{FOOS}/a", {"apiVersion": "{ns}.example.com/v9"}),
        merge(f"{FOOS}/none", {"spec": {}}),
        apply(f"{FOOS}/a", custom(spec={"l": [9]})),
        apply(f"{FOOS}/a", custom(spec={"l": [9]}), force=True),
        create(FOOS, "apiVersion: {ns}.example.com/v1\nkind: Foo\nmetadata: {name: y}\nspec: {l: [1]}\n").sending(YAML),
        create(FOOS, {**custom(name="k"), "kind": "Bar"}),
        create(FOOS, {**custom(name="k"), "apiVersion": "other/v1"}),
        create(FOOS, {"metadata": {"name": "bare"}}),
        create(FOOS, custom(name="Bad_Name")),
        update(f"{FOOS}/a", custom(spec={"l": [5]}, metadata={"resourceVersion": "1"})),
        update(f"{FOOS}/none", custom(name="none")),
        delete(f"{FOOS}/a", {"propagationPolicy": "Orphan"}),
        get(f"{FOOS}/a"),
        delete(FOOS, labelSelector="a=b"),
    ),
    scenario(
        "keyed lists that are applied",
        served(
            spec_of(
                k={
                    "type": "array",
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["n"],
                    "items": {"type": "object", "required": ["n"], "properties": {"n": _TEXT, "v": _NUMBER}},
                },
                s={"type": "array", "x-kubernetes-list-type": "set", "items": _TEXT},
                t={"type": "array", "x-kubernetes-list-type": "atomic", "items": _TEXT},
                g={"type": "object", "x-kubernetes-map-type": "atomic", "additionalProperties": _TEXT},
                h={"type": "object", "x-kubernetes-map-type": "granular", "additionalProperties": _TEXT},
            )
        ),
        apply(
            f"{FOOS}/a",
            custom(spec={"k": [{"n": "a", "v": 1}], "s": ["x"], "t": ["x"], "g": {"x": "1"}, "h": {"x": "1"}}),
            "one",
        ),
        apply(f"{FOOS}/a", custom(spec={"k": [{"n": "b", "v": 2}], "s": ["y"], "h": {"y": "2"}}), "two"),
        apply(f"{FOOS}/a", custom(spec={"k": [{"n": "a", "v": 3}]}), "two"),
        apply(f"{FOOS}/a", custom(spec={"t": ["y"], "g": {"y": "2"}}), "two"),
        apply(f"{FOOS}/a", custom(spec={"t": ["y"], "g": {"y": "2"}}), "two", force=True),
        apply(f"{FOOS}/a", custom(spec={"k": [{"v": 3}]}), "two"),
        apply(f"{FOOS}/a", custom(spec={"s": ["z", "z"]}), "two"),
    ),
    scenario(
        "objects of a cluster",
        made(
            "customresourcedefinitions",
            _cluster_wide := {**definition(), "spec": {**definition()["spec"], "scope": "Cluster"}},
        ),
        create("/apis/{ns}.example.com/v1/foos", custom()),
        create("/apis/{ns}.example.com/v1/foos", custom(name="b", metadata={"namespace": "{ns}"})),
        create(FOOS, custom()),
        get("/apis/{ns}.example.com/v1/foos"),
        get(FOOS),
        delete("/apis/{ns}.example.com/v1/foos/a"),
    ),
]
