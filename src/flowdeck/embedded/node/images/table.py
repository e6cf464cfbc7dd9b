"""The table of images: which references we can run, and how.

The shipped rows stand in `table.toml`; a user's rows in `DATA/images.toml` come first. A row names references as
patterns (`python`, `*/training-v1/*`, `python:3.1?-slim`; with `:` the tag counts, without it any tag does) and one of

    environment   a Python environment with `packages`, built by uv
    machine       the machine's own programs
    platform      the interpreter that Flowdeck itself runs on
    archive       an unpacked OCI image (`archive`: the file it came from)
"""

import fnmatch
import json
import os
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from flowdeck.embedded.node.images.references import Reference, parse_reference


class Source(StrEnum):
    """Where the programs of an image come from."""

    ENVIRONMENT = "environment"
    MACHINE = "machine"
    PLATFORM = "platform"
    ARCHIVE = "archive"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of the table: references, and what they mean."""

    references: tuple[str, ...]
    source: Source = Source.ENVIRONMENT
    packages: tuple[str, ...] = ()
    """Requirements as pip takes them."""
    versioned: str = ""
    """A package that is pinned to the version in the tag, as far as that can be installed: `torch`."""
    python: str = ""
    """`3.12`; `tag`: the version in the tag; empty: the one that the platform runs on."""
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    """Arguments when the container gives none."""
    env: dict[str, str] = field(default_factory=dict)
    working_dir: str = ""
    preload: tuple[str, ...] = ()
    """Modules that a warm fork server imports, so that pods start without the wait; none: no warm start."""
    keep_warm: bool = False
    """Start that server at the first use, not the second, and keep it when idle."""
    archive: str = ""
    """File of a docker-save or OCI archive."""

    def matches(self, reference: Reference) -> bool:
        return any(
            fnmatch.fnmatchcase(f"{reference.name}:{reference.tag}" if ":" in pattern else reference.name, pattern)
            for pattern in self.references
        )

    def to_toml(self) -> str:
        lines = ["[[image]]"]
        for each in fields(self):
            value = getattr(self, each.name)
            if value and not (each.name == "source" and value is Source.ENVIRONMENT):
                lines.append(f"{each.name} = {_toml(value)}")
        return "\n".join(lines) + "\n"


@dataclass(frozen=True, kw_only=True)
class Warmth:
    """What a warm fork server imports where a package is in the environment, whatever image that is."""

    package: str
    """Its normalised name."""
    preload: tuple[str, ...]
    env: dict[str, str] = field(default_factory=dict)
    """Variables that the modules want while they are imported."""


@dataclass(frozen=True)
class Table:
    """Rows in order of precedence."""

    rows: Sequence[Row]

    def find(self, reference: Reference) -> Row | None:
        return next((row for row in self.rows if row.matches(reference)), None)


def shipped_rows() -> list[Row]:
    return _rows_of(Path(__file__).with_name("table.toml"))


def shipped_warmth() -> list[Warmth]:
    tree = tomllib.loads(Path(__file__).with_name("table.toml").read_text())
    return [Warmth(**{**item, "preload": tuple(item["preload"])}) for item in tree["package"]]


def user_rows(file: Path) -> list[Row]:
    """The rows of `DATA/images.toml`; none when there is no such file. Raises `ValueError` on a bad one."""
    return _rows_of(file) if file.exists() else []


def add_row(file: Path, row: Row) -> None:
    """Puts a row first in the user's table; rows for the same references go."""
    for pattern in row.references:
        if not any(sign in pattern for sign in "*?["):
            parse_reference(pattern)
    row = replace(row, references=tuple(_familiar(pattern) for pattern in row.references))
    _write(file, [row, *(old for old in user_rows(file) if set(old.references) != set(row.references))])


def remove_row(file: Path, pattern: str) -> bool:
    """Takes the user's rows for a reference away; False when there was none (shipped rows stay)."""
    rows = user_rows(file)
    kept = [row for row in rows if _familiar(pattern) not in row.references]
    if len(kept) == len(rows):
        return False
    _write(file, kept)
    return True


def _familiar(pattern: str) -> str:
    return pattern.removeprefix("docker.io/").removeprefix("library/")


def _write(file: Path, rows: Iterable[Row]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_suffix(f".{os.getpid()}")
    draft.write_text(
        "# Images of this platform; see `flowdeck image --help`.\n\n" + "\n".join(r.to_toml() for r in rows)
    )
    draft.replace(file)


def _rows_of(file: Path) -> list[Row]:
    try:
        tree = tomllib.loads(file.read_text())
        return [_row(item) for item in tree.get("image", ())]
    except (tomllib.TOMLDecodeError, TypeError, KeyError, ValueError) as error:
        raise ValueError(f"{file}: {error}") from error


def _row(item: dict[str, Any]) -> Row:
    known = {each.name for each in fields(Row)}
    if unknown := sorted(set(item) - known):
        raise ValueError(f"unknown field {unknown[0]!r} in [[image]]; known are {', '.join(sorted(known))}")
    values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in item.items()}
    values["source"] = Source(item.get("source", Source.ENVIRONMENT))
    return Row(**values)


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(k)} = {json.dumps(v)}" for k, v in value.items()) + " }"
    return json.dumps(list(value) if isinstance(value, tuple) else value)
