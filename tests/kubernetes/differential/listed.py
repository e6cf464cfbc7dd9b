"""The differences that stay, each with its reason: `listed.yaml`, which docs/kubernetes-compatibility.md shows.

    - reason: Answers are never protobuf.
      at:
        - [discovery/*, get /openapi/v2, headers.content-type]     scenario, step, path; `*` is any text

An entry that no longer differs fails the suite, so the list cannot grow old.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from tests.kubernetes.differential.differences import Difference

FILE = Path(__file__).with_name("listed.yaml")
PAGE = Path(__file__).parents[3] / "docs" / "kubernetes-compatibility.md"
_MARK = "<!-- differences -->\n"


@dataclass(frozen=True)
class Pattern:
    """Which differences a line of the list means."""

    scenario: str
    step: str
    path: str

    def matches(self, difference: Difference) -> bool:
        pairs = ((self.scenario, difference.scenario), (self.step, difference.step), (self.path, difference.path))
        return all(_matches(pattern, text) for pattern, text in pairs)

    def is_about(self, scenario: str) -> bool:
        return _matches(self.scenario, scenario)

    def __str__(self) -> str:
        return f"[{self.scenario}, {self.step}, {self.path}]"


@dataclass(frozen=True)
class Entry:
    reason: str
    at: Sequence[Pattern]


def _matches(pattern: str, text: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), text, re.DOTALL) is not None


@cache
def load() -> Sequence[Entry]:
    return [
        Entry(" ".join(entry["reason"].split()), [Pattern(*map(str, line)) for line in entry["at"]])
        for entry in yaml.safe_load(FILE.read_text()) or ()
    ]


def unlisted(differences: Iterable[Difference], entries: Sequence[Entry]) -> Sequence[Difference]:
    patterns = [pattern for entry in entries for pattern in entry.at]
    return [found for found in differences if not any(pattern.matches(found) for pattern in patterns)]


def outlived(differences: Sequence[Difference], entries: Sequence[Entry], played: Sequence[str]) -> Sequence[Pattern]:
    """Lines that match nothing any more; those about scenarios that were not `played` are not judged."""
    patterns = [pattern for entry in entries for pattern in entry.at if any(map(pattern.is_about, played))]
    return [pattern for pattern in patterns if not any(pattern.matches(found) for found in differences)]


def as_page() -> str:
    """The list as the documentation shows it."""
    rows = [f"| {entry.reason} | {_places(entry)} |" for entry in load()]
    return "\n".join(["| what differs, and why | seen in |", "|---|---|", *rows]) + "\n"


def _places(entry: Entry) -> str:
    return ", ".join(f"`{name}`" for name in dict.fromkeys(pattern.scenario for pattern in entry.at))


def page_as_it_should_be() -> str:
    """The whole page with the list as it is now."""
    before, mark, after = PAGE.read_text().partition(_MARK)
    assert mark, f"{PAGE.name} has no {_MARK.strip()}"
    _, _, rest = after.partition("\n\n")
    return f"{before}{mark}{as_page()}\n{rest}"
