"""`DATA/state.json`: what others need to know of a running platform."""

import os
from pathlib import Path

import msgspec


class StateFile(msgspec.Struct, kw_only=True):
    """`DATA/state.json`: what `status`, `down` and tests need to know about a running platform."""

    server: str
    kubeconfig: str
    pids: dict[str, int]
    """By process name: `api`, `node`."""
    components: list[str]
    version: str


def read_state(data: Path) -> StateFile | None:
    """What the platform in a data folder says of itself; None when none is running there."""
    try:
        state = msgspec.json.decode((data / "state.json").read_bytes(), type=StateFile)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
    return state if is_alive(state.pids.get("api", 0)) else None


def is_alive(pid: int) -> bool:
    """Whether there is a process with that number."""
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
