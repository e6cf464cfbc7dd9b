"""Objects by chance, for random sequences: few names and few values, so that requests meet each other."""

from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from flowdeck.kube.objects import Tree
from tests.kubernetes.differential.makers import an_object, custom
from tests.kubernetes.differential.scenes import FOOS

NAMES = ("a", "b", "c")
_WORDS = ("x", "y", "z")

FOO_SCHEMA: Tree = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "properties": {
                "size": {"type": "integer", "minimum": 0, "maximum": 9, "default": 1},
                "mode": {"type": "string", "enum": ["x", "y"]},
                "either": {"x-kubernetes-int-or-string": True},
                "tags": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
                "parts": {
                    "type": "array",
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["name"],
                    "items": {
                        "type": "object",
                        "required": ["name"],
                        "properties": {"name": {"type": "string"}, "n": {"type": "integer"}},
                    },
                },
                "loose": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
            },
            "x-kubernetes-validations": [{"rule": "!has(self.mode) || self.size < 5", "message": "too large"}],
        }
    },
}


def some(chance: Random, fields: Mapping[str, Callable[[], Any]], share: float = 0.6) -> Tree:
    """Some of the fields, each made when it is taken; none that is an empty map or list."""
    found = {name: make() for name, make in fields.items() if chance.random() < share}
    return {name: value for name, value in found.items() if value not in ({}, [])}


def word(chance: Random) -> str:
    return chance.choice(_WORDS)


def _words(chance: Random) -> Tree:
    return {name: word(chance) for name in NAMES if chance.random() < 0.4}


def _metadata(chance: Random) -> Tree:
    wrong = chance.random() < 0.03
    found = some(chance, {"labels": lambda: _words(chance), "annotations": lambda: _words(chance)}, 0.4)
    if chance.random() < 0.08:
        found["finalizers"] = ["example.com/f"]
    if wrong:
        found["labels"] = {"bad key!": "x"}
    return found


def _count(chance: Random) -> Any:
    """A small number; now and then what is none."""
    return chance.choice((0, 1, 2, 3, 4, 7)) if chance.random() < 0.93 else chance.choice((-1, "1", 1.5, None))


def _config_map(chance: Random) -> Tree:
    return some(
        chance,
        {
            "data": lambda: _words(chance),
            "binaryData": lambda: {chance.choice(("a", "bin")): chance.choice(("eA==", "eQ==", "!"))},
            "unknown": lambda: 1,
        },
        0.4,
    )


def _secret(chance: Random) -> Tree:
    return some(
        chance,
        {
            "stringData": lambda: _words(chance),
            "data": lambda: {word(chance): chance.choice(("eA==", "eQ=="))},
            "type": lambda: chance.choice(("Opaque", "example.com/t")),
        },
    )


def _ports(chance: Random) -> list[Tree]:
    names = chance.sample(NAMES, chance.randint(1, 3))
    return [
        {"name": name, "port": 80 + chance.randint(0, 2), **some(chance, {"targetPort": lambda: 8080}, 0.3)}
        for name in names
    ]


def _service(chance: Random) -> Tree:
    fields = {
        "selector": lambda: _words(chance),
        "sessionAffinity": lambda: chance.choice(("None", "ClientIP")),
        "clusterIP": lambda: "None",
    }
    return {"spec": {"ports": _ports(chance), **some(chance, fields, 0.3)}}


def _container(chance: Random, name: str) -> Tree:
    env = [{"name": each.upper(), "value": word(chance)} for each in NAMES if chance.random() < 0.3]
    limits = {"cpu": chance.choice(("1", "1000m", "0.5"))}
    fields = {
        "env": lambda: env,
        "resources": lambda: {"limits": limits},
        "ports": lambda: [{"containerPort": 80 + chance.randint(0, 1)}],
    }
    return {"name": name, "image": f"image:{chance.randint(1, 2)}", **some(chance, fields, 0.4)}


def _pod_spec(chance: Random) -> Tree:
    names = chance.sample(NAMES, chance.randint(1, 2))
    fields: Mapping[str, Callable[[], Any]] = {
        "nodeSelector": lambda: _words(chance),
        "tolerations": lambda: [{"key": word(chance), "operator": "Exists"}],
        "activeDeadlineSeconds": lambda: _count(chance),
        "volumes": lambda: [{"name": word(chance), "emptyDir": {}}],
    }
    return {"containers": [_container(chance, name) for name in names], **some(chance, fields, 0.2)}


def _pod(chance: Random) -> Tree:
    return {"spec": _pod_spec(chance)}


def _deployment(chance: Random) -> Tree:
    labels = {"app": "x" if chance.random() < 0.95 else "y"}
    fields = {
        "replicas": lambda: _count(chance),
        "paused": lambda: True,
        "minReadySeconds": lambda: _count(chance),
        "strategy": lambda: chance.choice(({"type": "Recreate"}, {"rollingUpdate": {"maxSurge": "50%"}})),
    }
    template = {"metadata": {"labels": labels}, "spec": _pod_spec(chance)}
    template["spec"].pop("activeDeadlineSeconds", None)
    return {"spec": {"selector": {"matchLabels": {"app": "x"}}, "template": template, **some(chance, fields, 0.4)}}


def _lease(chance: Random) -> Tree:
    fields: Mapping[str, Callable[[], Any]] = {
        "holderIdentity": lambda: word(chance),
        "leaseDurationSeconds": lambda: _count(chance),
        "renewTime": lambda: chance.choice(("2020-01-01T00:00:00.000000Z", "now")),
    }
    spec = some(chance, fields)
    if spec.get("renewTime") == "now":  # one mistake at a time
        spec.pop("leaseDurationSeconds", None)
    return {"spec": spec}


def _foo(chance: Random) -> Tree:
    fields: Mapping[str, Callable[[], Any]] = {
        "size": lambda: _count(chance),
        "mode": lambda: word(chance),
        "either": lambda: chance.choice((1, "1", "x")),
        "tags": lambda: [word(chance) for _ in range(chance.randint(0, 2))],
        "parts": lambda: [{"name": word(chance), "n": chance.randint(0, 3)} for _ in range(chance.randint(0, 2))],
        "loose": lambda: {"any": _words(chance)},
        "unknown": lambda: word(chance),
    }
    return {"spec": some(chance, fields, 0.4)}


KINDS: Mapping[str, tuple[str, str, Callable[[Random], Tree]]] = {
    "configmaps": ("v1", "ConfigMap", _config_map),
    "secrets": ("v1", "Secret", _secret),
    "services": ("v1", "Service", _service),
    "pods": ("v1", "Pod", _pod),
    "deployments": ("apps/v1", "Deployment", _deployment),
    "leases": ("coordination.k8s.io/v1", "Lease", _lease),
    FOOS: ("", "Foo", _foo),
}
"""Path -> apiVersion, kind, what it has besides metadata."""


def an_object_of(chance: Random, path: str, name: str) -> Tree:
    version, kind, make = KINDS[path]
    fields = {"metadata": _metadata(chance), **make(chance)}
    return an_object(version, kind, name, **fields) if version else custom(kind, name, **fields)
