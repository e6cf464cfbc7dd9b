"""`file://<path>` and `pvc://<claim>/<path>`: copies what is on a disk already. Upstream has neither.

The controller mounts a claim that a URI names, and says where in `SOURCE_CLAIM`.
"""

import shutil
from pathlib import Path

from flowdeck.components.training.initializers.patterns import is_wanted
from flowdeck.components.training.initializers.report import Report, megabytes, say
from flowdeck.components.training.initializers.settings import InitializerError, Source


def fetch(source: Source) -> None:
    """Copies a file, or all wanted files of a folder."""
    root = _root(source)
    if not root.exists():
        raise InitializerError(f"there is nothing at {source.uri} ({root})")
    files = [root] if root.is_file() else sorted(path for path in root.rglob("*") if path.is_file())
    base = root.parent if root.is_file() else root
    wanted = [
        path for path in files if is_wanted(str(path.relative_to(base)), allow=source.allow, ignore=source.ignore)
    ]
    report = Report(sum(path.stat().st_size for path in wanted), len(wanted))
    say(f"Copying {len(wanted)} files ({megabytes(report.total_bytes)}) from {root}")
    for path in wanted:
        target = Path(source.destination, path.relative_to(base))
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)
        report.advance(target.stat().st_size)


def _root(source: Source) -> Path:
    if source.scheme == "file":
        return Path("/", source.path)
    claim, _, path = source.path.partition("/")
    return Path(source.env.get("SOURCE_CLAIM", f"/mnt/pvc/{claim}"), path)
