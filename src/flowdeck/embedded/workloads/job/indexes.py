"""Sets of completion indexes in their text form: `0,2-3`."""

from collections.abc import Iterable


def parse_indexes(text: str, *, below: int | None = None) -> frozenset[int]:
    """The indexes that a text such as `0,2-3` names, only those lower than `below`; malformed parts are skipped."""
    found: set[int] = set()
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        if not first.isdigit() or (last and not last.isdigit()):
            continue
        end = int(last or first) + 1
        found.update(range(int(first), end if below is None else min(end, below)))
    return frozenset(found)


def format_indexes(indexes: Iterable[int]) -> str:
    """The shortest text: two neighbours are joined by a comma, more by a dash (`0,1,3-5`)."""
    runs: list[list[int]] = []
    for index in sorted(indexes):
        if runs and runs[-1][-1] == index - 1:
            runs[-1][1:] = [index]
        else:
            runs.append([index])
    return ",".join(_format_run(run) for run in runs)


def _format_run(run: list[int]) -> str:
    if len(run) == 1:
        return str(run[0])
    sign = "," if run[1] == run[0] + 1 else "-"
    return f"{run[0]}{sign}{run[1]}"
