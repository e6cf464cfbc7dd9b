"""`file://<path>` and `pvc://<claim>/<path>`: copies what is on a disk already. Upstream has neither.

The controller mounts a claim that a URI names at `/mnt/pvc/<claim>`.
"""

import shutil
from pathlib import Path

from flowdeck.components.training.initializers.patterns import is_wanted
from flowdeck.components.training.initializers.report import Report, megabytes, say
from flowdeck.components.training.initializers.settings import InitializerError, Source

CLAIMS = "/mnt/pvc"


def fetch(source: Source) -> None:
    """Copies a file, or all wanted files of a folder."""
    root = Path(CLAIMS, source.path) if source.scheme == "pvc" else Path("/", source.path)
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
