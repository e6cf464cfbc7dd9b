"""What a function for CEL is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Function:
    """One overload of a function that is written in Python."""

    name: str
    takes: tuple[str, ...]
    """CEL types, the receiver first: `bool`, `int`, `double`, `string`, `list`, `map`."""
    gives: str
    """A CEL type; `strings` is a list of strings, `dyn` is whatever comes."""
    run: Callable[..., Any]
    """Raises `ValueError` with the text of the evaluation error."""
    is_member: bool = True
