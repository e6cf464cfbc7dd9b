"""Which files of a source are fetched. Source: huggingface_hub (utils/_paths.py), whose patterns users know."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase


def is_wanted(path: str, *, allow: Sequence[str] = (), ignore: Sequence[str] = ()) -> bool:
    """Whether a file passes: it matches some `allow` pattern (when there are any) and no `ignore` pattern."""
    return (not allow or _matches(path, allow)) and not _matches(path, ignore)


def _matches(path: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(path, pattern + "*" if pattern.endswith("/") else pattern) for pattern in patterns)
