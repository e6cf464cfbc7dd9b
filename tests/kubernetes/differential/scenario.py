"""What a scenario is: a name and steps, as data. The functions make steps.

    scenario(
        "a patch of nothing changes nothing",
        create("configmaps", config_map("a")).kept("a"),
        merge("configmaps/a", {}),
        get("configmaps/a").by("alice"),
    )

Paths    `configmaps/a` is in the scenario's namespace, `nodes/n` in none; the group is the one that the plural has in
         1.36. What begins with `/` is a whole path. Keywords are the query (`limit=1`, `continue_="..."`).
Texts    `{ns}` becomes the scenario's namespace, which is a prefix for names of cluster-scoped objects as well.
         `{a:metadata.uid}` becomes a value of the answer that was `.kept("a")`. `{hooks}`: see `webhook_server.py`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeVar

from flowdeck.kube.objects import Tree

JSON = "application/json"
YAML = "application/yaml"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
METADATA = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
METADATA_LIST = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"

S = TypeVar("S", bound="Step")


@dataclass(frozen=True, kw_only=True)
class Step:
    """One thing to do, and (unless it is `quiet`) to compare."""

    word: str
    """What the maker is called; with the path it names the step in reports and in the list of differences."""
    path: str
    label: str = ""
    """Later steps refer to the answer by it."""
    quiet: bool = False
    """Makes the scene for others: done, not compared."""

    @property
    def name(self) -> str:
        return f"{self.word} {self.path}"

    def kept(self: S, label: str) -> S:
        return replace(self, label=label)

    def unseen(self: S) -> S:
        return replace(self, quiet=True)


@dataclass(frozen=True, kw_only=True)
class Request(Step):
    """One request and its answer."""

    method: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    """A value of several lines is sent as several headers."""
    body: Any = None
    """A tree (sent as JSON), or a text (sent as it is)."""
    part: tuple[str, ...] = ()
    """The keys of the part of the answer that is compared; none: all of it."""
    is_stranger: bool = False
    """Shows no client certificate."""

    def by(self, user: str, *groups: str) -> "Request":
        """As another user, by impersonation."""
        extra = {"Impersonate-Group": "\n".join(groups)} if groups else {}
        return self.with_headers({"Impersonate-User": user, **extra})

    def with_token(self, token: str) -> "Request":
        """With a bearer token (`{t:status.token}`); `""`: as nobody."""
        stranger = replace(self, is_stranger=True)
        return stranger.with_headers({"Authorization": f"Bearer {token}"}) if token else stranger

    def accepting(self, *types: str) -> "Request":
        return self.with_headers({"Accept": ",".join(types)})

    def sending(self, content_type: str) -> "Request":
        return self.with_headers({"Content-Type": content_type})

    def named(self, agent: str) -> "Request":
        """With another `User-Agent`, which is the field manager of who names none."""
        return self.with_headers({"User-Agent": agent})

    def only(self, *keys: str) -> "Request":
        """Compares one part of a long answer."""
        return replace(self, part=keys)

    def with_headers(self, headers: Mapping[str, str]) -> "Request":
        return replace(self, headers={**self.headers, **headers})


@dataclass(frozen=True, kw_only=True)
class Until(Step):
    """Asks again and again until the answer is as wanted; the last answer is compared."""

    field_path: str
    """`status.phase`; `""`: waits for a 404."""
    wanted: Any = None


@dataclass(frozen=True, kw_only=True)
class Repeated(Request):
    """Sent until the answer has a status: a server learns of what others wrote a moment later. The last is compared."""

    status: int
    told: str = ""
    """Its message has this text as well."""


@dataclass(frozen=True, kw_only=True)
class Watch(Request):
    """Opens a watch, which lasts until the scenario's end. Compared: how it begins."""


@dataclass(frozen=True, kw_only=True)
class Events(Step):
    """The next events of the watch that was kept as `path`."""

    count: int
    """How many are waited for. 0: until the server ends the watch."""


@dataclass(frozen=True, kw_only=True)
class Pods(Step):
    """Plays the kubelet: waits for pods of a selector (the path), and writes their status. Is never compared."""

    state: str
    """As in `kubelet.py`."""
    count: int
    exit_code: int = 1
    condition: Tree | None = None
    """One more condition that is true: its type, reason and message."""
    quiet: bool = True


@dataclass(frozen=True, kw_only=True)
class State(Step):
    """Waits until nothing changes any more, and compares the end (`end_state.py`): objects, and what was told."""

    of: Sequence[str]
    """Plurals, or `plural/name`."""
    is_told: bool = True
    """Events are compared as well."""


@dataclass(frozen=True)
class Scenario:
    """A sequence of steps in a namespace of its own."""

    name: str
    steps: Sequence[Step]
    alone: bool = False
    """Looks at what others change: is played before them."""
    whole: bool = False
    """Needs controllers: is played on servers that have them. Others are played where nobody else writes."""

    def of_theme(self, theme: str) -> "Scenario":
        return replace(self, name=f"{theme}/{self.name.replace(' ', '-')}")

    @property
    def slug(self) -> str:
        """A name of a namespace: distinct among scenarios, if their names' hashes are."""
        words = re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")
        check = sum(ord(c) * (i + 1) for i, c in enumerate(self.name)) % 4096
        return f"{words[:36].strip('-')}-{check:03x}"

    def step_names(self) -> Sequence[str]:
        """One name a step; what happens again is numbered."""
        names: list[str] = []
        for step in self.steps:
            count = sum(1 for other in self.steps[: len(names)] if other.name == step.name)
            names.append(f"{step.name} #{count + 1}" if count else step.name)
        return names


def scenario(name: str, *steps: Step | Sequence[Step], whole: bool = False, alone: bool = False) -> Scenario:
    """A scenario; sequences of steps are flattened, so that makers of several steps can be used."""
    flat: list[Step] = []
    for step in steps:
        flat += [step] if isinstance(step, Step) else step
    return Scenario(name, flat, alone, whole)


# ---- steps ------------------------------------------------------------------------------------------------------


def request(method: str, path: str, body: Any = None, *, word: str = "", **query: Any) -> Request:
    """Any request; `word` is how it is called in reports."""
    headers = {"Content-Type": JSON} if body is not None else {}
    return Request(
        word=word or method.lower(), path=path, method=method, body=body, headers=headers, query=_query(query)
    )


def _query(given: Mapping[str, Any]) -> Mapping[str, str]:
    """`True` becomes `true`; names lose the `_` that keeps them apart from Python's words."""
    return {
        name.rstrip("_"): str(value).lower() if isinstance(value, bool) else str(value) for name, value in given.items()
    }


def get(path: str, **query: Any) -> Request:
    return request("GET", path, **query)


def table(path: str, **query: Any) -> Request:
    """What `kubectl get` asks for."""
    return request("GET", path, word="table", **query).accepting(TABLE, JSON)


def create(path: str, body: Any, **query: Any) -> Request:
    return request("POST", path, body, word="create", **query)


def update(path: str, body: Any, **query: Any) -> Request:
    return request("PUT", path, body, word="update", **query)


def delete(path: str, options: Tree | None = None, **query: Any) -> Request:
    """`options` are the fields of DeleteOptions."""
    body = None if options is None else {"kind": "DeleteOptions", "apiVersion": "v1", **options}
    return request("DELETE", path, body, word="delete", **query)


def merge(path: str, body: Any, **query: Any) -> Request:
    return request("PATCH", path, body, word="merge", **query).sending("application/merge-patch+json")


def strategic(path: str, body: Any, **query: Any) -> Request:
    return request("PATCH", path, body, word="strategic", **query).sending("application/strategic-merge-patch+json")


def json_patch(path: str, *operations: Any, **query: Any) -> Request:
    """Each operation is `("add", "/data/a", "value")`, or a tree."""
    return request("PATCH", path, [_operation(op) for op in operations], word="json-patch", **query).sending(
        "application/json-patch+json"
    )


def _operation(given: Any) -> Any:
    if not isinstance(given, tuple):
        return given
    name, path, *rest = given
    word = "from" if name in ("move", "copy") else "value"
    return {"op": name, "path": path, **({word: rest[0]} if rest else {})}


def apply(path: str, body: Any, manager: str = "m", **query: Any) -> Request:
    """Server-side apply; `manager=""` names none."""
    named = {"fieldManager": manager} if manager else {}
    return request("PATCH", path, body, word="apply", **named, **query).sending("application/apply-patch+yaml")


def until(path: str, field_path: str, wanted: Any) -> Until:
    return Until(word="until", path=path, field_path=field_path, wanted=wanted)


def until_status(status: int, step: Request, told: str = "") -> Repeated:
    """`step` again and again, until it is answered by `status`, and by a message with the text `told`.

    It should change nothing, or as often as one likes.
    """
    return Repeated(**{each.name: getattr(step, each.name) for each in fields(step)}, status=status, told=told)


def until_gone(path: str) -> Until:
    return Until(word="until-gone", path=path, field_path="")


def watch(path: str, label: str = "w", **query: Any) -> Watch:
    """Opens a watch whose events are read by `events(label, n)`."""
    return Watch(word="watch", path=path, method="GET", query={"watch": "true", **_query(query)}, label=label)


def events(count: int, label: str = "w") -> Events:
    """The next `count` events of a watch; 0: all that come until the server ends it."""
    return Events(word="events", path=label, count=count)


def pods_become(
    state: str,
    count: int = 1,
    selector: str = "",
    *,
    exit_code: int = 1,
    condition: Tree | None = None,
) -> Pods:
    """Waits for `count` pods that are not in the state yet, and plays their kubelet."""
    return Pods(word="pods-become", path=selector, state=state, count=count, exit_code=exit_code, condition=condition)


def reached(path: str, field_path: str, wanted: Any) -> Until:
    """As `until`, for end states: how the object was on its way is not compared."""
    return until(path, field_path, wanted).unseen()


def state(*of: str, events: bool = True) -> State:
    """The end state of the objects of some plurals (or of one, as `plural/name`), and the namespace's events."""
    return State(word="state", path=" ".join(of), of=of, is_told=events)
