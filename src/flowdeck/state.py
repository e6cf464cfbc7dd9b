"""`DATA/state.json`: what others need to know of a running platform."""

from pathlib import Path

import msgspec

from flowdeck.locks import holder


class StateFile(msgspec.Struct, kw_only=True):
    """`DATA/state.json`: what `status`, `down` and tests need to know about a running platform."""

    server: str
    kubeconfig: str
    pids: dict[str, int]
    """By process name: `api`, `node`."""
    components: list[str]
    version: str


def read_state(data: Path) -> StateFile | None:
    """What the platform in a data folder says of itself; None when none is running there, or not yet so far."""
    if holder(data / "lock") is None:
        return None
    try:
        return msgspec.json.decode((data / "state.json").read_bytes(), type=StateFile)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
