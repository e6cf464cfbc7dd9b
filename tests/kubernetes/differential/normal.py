"""What differs between any two servers, made equal: uids, revisions, times, generated names, addresses.

Values keep their identity: the first uid of a scenario is `uid-1` wherever it stands, the next `uid-2`; likewise the
revisions of objects, so that "the revision did not change" is compared.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from flowdeck.kube.objects import Tree

_UID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")
_TIME = re.compile(r"\b(20\d\d-\d\d-\d\d)T\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)")
_TOKEN = re.compile(r"\beyJ[\w-]+\.eyJ[\w-]+\.[\w-]+")
_PEM = re.compile(r"LS0tLS1CRUdJTi[A-Za-z0-9+/=]+|-----BEGIN [\s\S]+?-----END [A-Z ]+-----\n?")
_AGE = re.compile(r"(\d+[smhdy]){1,2}|<invalid>")
_ADDRESS = re.compile(r"\b(10\.\d+\.\d+\.\d+|127\.0\.0\.1)(:\d+)?\b")
_SERVER = re.compile(r"\b\d+\.\d+\.\d+\.\d+:\d{4,5}\b")
_NODE_PORT = re.compile(r":3[0-2]\d{3}/")
_SELF_TYPE = re.compile(r"\bselfType\d+")
_EMPTY_LABELS = re.compile(r"Invalid value: \{\}(?=: `selector` does not match)")
_NOW = re.compile(r"\bcurrent: \d+")
_OLDEST = re.compile(r"(?<=too old resource version: )(\d+) \(\d+\)")
_PICTURE = re.compile(r"(was previously negative\)\n)@@ .*?(?=\]?\Z)", re.DOTALL)
"""What upstream shows of Go's structs before and after a forbidden change of a pod."""
_PATCHED = re.compile(r'(patch: Invalid value|^Invalid value): ("\{.*\}"): ', re.DOTALL)
"""What a patch has made, whose fields upstream shows in the order of Go's structs where it did not touch them."""
_VERSION = re.compile(r"resource ?version", re.IGNORECASE)
"""Other messages have numbers that are no revisions."""
_LIMITS = re.compile(r"(?<=is forbidden: \[).* usage per .*(?=\])")
"""What a LimitRange does not allow: upstream goes through its bounds as Go goes through maps."""
_POLICY = "Validation failed for ValidatingAdmissionPolicy"
CUSTOM_GROUP = ".example.com"
_TOKEN_VOLUME = re.compile(r"\bkube-api-access-[a-z0-9]{5}\b")


@dataclass
class Normal:
    """The outcomes of one scenario on one server, step after step."""

    namespace: str
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    _uids: dict[str, str] = field(default_factory=dict)
    _revisions: dict[str, str] = field(default_factory=dict)
    _names: dict[str, str] = field(default_factory=dict)
    _addresses: dict[str, str] = field(default_factory=dict)

    def outcome(self, outcome: Tree, quiet: bool = False) -> Tree:
        """Made equal; of a `quiet` one only names are learned: how often its objects were written may differ."""
        if "events" in outcome:
            outcome = {**outcome, "events": [event for event in outcome["events"] if not _is_mark(event)]}
        self._learn(outcome)
        if quiet:
            return {}
        found: Tree = self._value(outcome, ())
        return found

    def _learn(self, value: Any) -> None:
        """Names that the server made up, wherever in the answer they stand first."""
        if isinstance(value, list):
            for item in value:
                self._learn(item)
        elif isinstance(value, dict):
            prefix, name = value.get("generateName"), value.get("name")
            if prefix and isinstance(prefix, str) and isinstance(name, str) and name.startswith(prefix):
                self._names.setdefault(name, f"{prefix}GENERATED-{len(self._names) + 1}")
            for item in value.values():
                self._learn(item)

    def _value(self, value: Any, path: tuple[str, ...]) -> Any:
        if isinstance(value, dict):
            if value.get("kind") == "Table" and "rows" in value:
                value = _without_ages(value)
            if _is_of_schema(value):
                value = _in_one_order(value)
            return {self._text(name): self._field(value, name, item, path) for name, item in value.items()}
        if isinstance(value, list):
            return [self._value(item, path) for item in value]
        return self._text(value) if isinstance(value, str) else value

    def _field(self, parent: Mapping[str, Any], name: str, value: Any, path: tuple[str, ...]) -> Any:
        if name == "metadata" and isinstance(value, dict):
            return self._metadata(parent, value, path)
        if name in ("message", "detail") and isinstance(value, str):
            return self._message(value)
        if name == "causes" and isinstance(value, list):
            return self._value(_causes(value), (*path, name))
        if name == "warning" and path == ("headers",):
            return _policies_in_order(self._value(value, (*path, name)))
        if name == "nodePort" and isinstance(value, int):
            return "PORT"
        if name in ("resourceRules", "nonResourceRules") and path[-1:] == ("status",):
            # what one may: upstream goes through bindings as Go goes through maps, in any order
            return sorted(self._value(value, (*path, name)), key=_as_text)
        return self._value(value, (*path, name))

    def _metadata(self, parent: Mapping[str, Any], metadata: Tree, path: tuple[str, ...]) -> Tree:
        found: Tree = self._value(metadata, (*path, "metadata"))
        if isinstance(revision := metadata.get("resourceVersion"), str) and revision not in ("", "0"):
            is_one_of_many = _is_list(parent) or (path[-1:] == ("object",) and _is_bookmark(parent))
            found["resourceVersion"] = "REVISION" if is_one_of_many else self._revision(revision)
        if metadata.get("continue"):
            found["continue"] = "CONTINUE"
        if isinstance(managed := found.get("managedFields"), list):
            found["managedFields"] = sorted(managed, key=_manager)
        return found

    def _revision(self, revision: str) -> str:
        return self._revisions.setdefault(revision, f"revision-{len(self._revisions) + 1}")

    def _message(self, text: str) -> str:
        text = text.replace(self.namespace, "NS")  # it may hold a number that is a revision, too
        told = self._revisions.items() if _VERSION.search(text) else ()
        for revision, name in told:
            text = re.sub(rf"(?<![\w-]){revision}(?![\w-])", name, text)  # 2026 is also a part of times
        text = _EMPTY_LABELS.sub("Invalid value: null", _SELF_TYPE.sub("selfType", text))
        text = _LIMITS.sub(lambda match: ", ".join(sorted(re.split(", (?!but )", match[0]))), text)
        text = _OLDEST.sub(r"\1 (REVISION)", text)
        text = _PICTURE.sub(r"\1", _NOW.sub("current: REVISION", text))
        return self._text(_PATCHED.sub(_sorted_fields, text))

    def _text(self, text: str) -> str:
        text = text.replace(self.namespace, "NS")
        for name, normal in self._names.items():
            text = text.replace(name, normal)
        text = _UID.sub(lambda match: self._uids.setdefault(match[0], f"uid-{len(self._uids) + 1}"), text)
        text = _TIME.sub(self._time, text)
        text = _TOKEN_VOLUME.sub("kube-api-access-GENERATED", _PEM.sub("PEM", _TOKEN.sub("TOKEN", text)))
        text = _NODE_PORT.sub(":PORT/", _SERVER.sub("SERVER", text))
        return _ADDRESS.sub(
            lambda match: self._addresses.setdefault(match[0], f"address-{len(self._addresses) + 1}"), text
        )

    def _time(self, match: "re.Match[str]") -> str:
        """Times around now; others were sent by the scenario."""
        day = datetime.fromisoformat(match[1]).replace(tzinfo=UTC)
        if abs(day - self.now) > timedelta(days=2):
            return match[0]
        return "TIME.micro" if match[2] else "TIME"


def _is_list(parent: Mapping[str, Any]) -> bool:
    return "items" in parent or str(parent.get("kind", "")).endswith("List") or parent.get("kind") == "Table"


def _is_bookmark(parent: Mapping[str, Any]) -> bool:
    """A bookmark's object has a revision and nothing that names it."""
    return "name" not in parent["metadata"]


def _causes(causes: Sequence[Tree]) -> Sequence[Tree]:
    """Each once: upstream tells a wrong label as often as it looks at it. Conflicts of owners are in no order."""
    once = [cause for at, cause in enumerate(causes) if cause not in causes[:at]]
    is_conflict = all(cause.get("reason") == "FieldManagerConflict" for cause in once)
    return sorted(once, key=lambda cause: str(cause.get("message"))) if is_conflict else once


def _is_mark(event: Tree) -> bool:
    """A pod that is deleted at once: here one write, upstream two, the first of which only says that it goes."""
    obj = event.get("object")
    if event.get("type") != "MODIFIED" or not isinstance(obj, dict) or obj.get("kind") != "Pod":
        return False
    return bool(obj["metadata"].get("deletionGracePeriodSeconds") == 0)


def _is_of_schema(status: Mapping[str, Any]) -> bool:
    """Several mistakes in a custom object."""
    details = status.get("details")
    if status.get("reason") != "Invalid" or not isinstance(details, dict):
        return False
    return str(details.get("group", "")).endswith(CUSTOM_GROUP) and len(details.get("causes") or ()) > 1


def _in_one_order(status: Tree) -> Tree:
    """What schemas refuse is told in the order of Go's maps."""
    causes = sorted(_causes(status["details"]["causes"]), key=_as_text)
    told = ", ".join(f"{cause.get('field')}: {cause['message']}" for cause in causes)
    head, _, _ = status["message"].partition(" is invalid: ")
    told = f"[{told}]" if len(causes) > 1 else told
    return {**status, "message": f"{head} is invalid: {told}", "details": {**status["details"], "causes": causes}}


def _sorted_fields(match: "re.Match[str]") -> str:
    try:
        fields = orjson.loads(orjson.loads(match[2]))
    except orjson.JSONDecodeError:
        return match[0]
    return f"{match[1]}: {_as_text(fields).decode()}: "


def _policies_in_order(warnings: Sequence[str]) -> Sequence[str]:
    """Warnings of policies come in the order of Go's maps."""
    is_policy = [_POLICY in text for text in warnings]
    told = iter(sorted(text for text in warnings if _POLICY in text))
    return [next(told) if of_policy else text for text, of_policy in zip(warnings, is_policy, strict=True)]


def _as_text(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def _manager(entry: Tree) -> tuple[str, ...]:
    """Entries of one second have no order: compared by whose they are."""
    return tuple(str(entry.get(name, "")) for name in ("operation", "manager", "subresource", "apiVersion"))


def _without_ages(table: Tree) -> Tree:
    rows = [
        {**row, "cells": [_cell(cell, column["name"]) for cell, column in _paired(row, table)]}
        for row in table["rows"] or ()
    ]
    return {**table, "rows": rows}


def _paired(row: Tree, table: Tree) -> Sequence[tuple[Any, Tree]]:
    columns = [*(table.get("columnDefinitions") or ()), *({"name": "?"} for _ in row["cells"])]
    return list(zip(row["cells"], columns, strict=False))


def _cell(cell: Any, column: str) -> Any:
    is_age = isinstance(cell, str) and _AGE.fullmatch(cell) and column not in ("Name", "Value")
    return "AGE" if is_age else cell
