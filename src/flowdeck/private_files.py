"""Files that nobody but their owner reads: keys, certificates, passwords. Written whole or not at all."""

import os
from pathlib import Path


def put(path: Path, text: str) -> None:
    """Puts a file (0600) in place of what was there. Its folder must exist."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
