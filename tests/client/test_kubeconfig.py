"""Credential plug-ins: programs of users, which fail, hang, and print what they like."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from flowdeck.client import kubeconfig
from flowdeck.client.kubeconfig import ClusterConfig, Credentials, ExecPlugin
from flowdeck.clock import FakeClock
from flowdeck.kube.errors import Unauthorized

PATIENCE_S = 60


def credentials(script: str) -> Credentials:
    plugin = ExecPlugin(command="/bin/sh", args=("-c", script))
    return Credentials(ClusterConfig(server="https://cluster", exec_plugin=plugin), FakeClock())


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not holds():  # noqa: ASYNC110 - nothing tells of the end of a process
            await asyncio.sleep(0.01)


def has_ended(pid: Path) -> bool:
    """Killed, whether or not its parent has noticed."""
    try:
        return Path(f"/proc/{pid.read_text().strip()}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


async def test_what_a_plug_in_prints_is_the_token() -> None:
    found = credentials("""echo '{"status": {"token": "abc"}}' """)
    assert await found.header() == "Bearer abc"


@pytest.mark.parametrize(
    ("script", "told"),
    [
        pytest.param("echo no such user >&2; exit 3", "failed: no such user", id="a failure"),
        pytest.param("echo hello", "printed no ExecCredential", id="no JSON"),
        pytest.param("echo '[1]'", "printed no ExecCredential", id="no object"),
        pytest.param("echo '{}'", "gave no token", id="no token"),
    ],
)
async def test_a_plug_in_that_fails_is_no_reason_to_end_the_process(script: str, told: str) -> None:
    with pytest.raises(Unauthorized, match=told):
        await credentials(script).header()


async def test_a_plug_in_that_is_not_there_is_told() -> None:
    plugin = ExecPlugin(command="/no/such/program")
    with pytest.raises(Unauthorized, match="cannot be started"):
        await Credentials(ClusterConfig(server="https://cluster", exec_plugin=plugin), FakeClock()).header()


async def test_a_plug_in_that_hangs_is_killed_with_its_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubeconfig, "PLUGIN_S", 1.0)
    with pytest.raises(Unauthorized, match="more than 1 s"):
        await credentials(f"sleep 600 & echo $! > {tmp_path}/pid; wait").header()
    pid = tmp_path / "pid"
    await until(lambda: not pid.exists() or has_ended(pid))


async def test_a_plug_in_that_nobody_waits_for_is_killed(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    asking = asyncio.create_task(credentials(f"echo $$ > {tmp_path}/new; mv {tmp_path}/new {pid}; sleep 600").header())
    await until(pid.exists)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await until(lambda: has_ended(pid))
