"""`flowdeck-rsh` runs commands for those who hold the job's key, and for nobody else."""

import contextlib
import os
import select
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowdeck.embedded.node.images import remote_shell
from flowdeck.embedded.node.images.remote_shell import parse

PROGRAM = [sys.executable, remote_shell.__file__]


@pytest.fixture
def env(tmp_path: Path) -> Iterator[dict[str, str]]:
    """What a client is told about a server that runs."""
    (tmp_path / "key").write_text("secret")
    with socket.create_server(("127.0.0.1", 0)) as free:
        place = f"127.0.0.1:{free.getsockname()[1]}"
    env = {
        "PATH": os.environ["PATH"],
        "FLOWDECK_RSH_KEY": str(tmp_path / "key"),
        "FLOWDECK_RSH_LISTEN": place,
        "FLOWDECK_RSH_HOSTS": f'{{"there": "{place}"}}',
        "FLOWDECK_RSH_SELF": "here",
    }
    server = subprocess.Popen([*PROGRAM, "--serve"], env={**env, "WHO": "server"})
    yield env
    server.terminate()
    server.wait()


def rsh(env: dict[str, str], *words: str, **options: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([*PROGRAM, *words], env=env, capture_output=True, text=True, **options)  # type: ignore


def test_a_command_runs_there_with_its_input_output_and_exit_code(env: dict[str, str]) -> None:
    done = rsh(env, "-o", "X=1", "there", "cat;", "echo $WHO; echo oops >&2; exit 7", input="in\n")
    assert (done.stdout, done.stderr, done.returncode) == ("in\nserver\n", "oops\n", 7)


def test_much_output_arrives_whole(env: dict[str, str]) -> None:
    assert len(rsh(env, "there", "head -c 3000000 /dev/zero | tr '\\0' x").stdout) == 3_000_000


def test_a_signal_is_an_exit_code(env: dict[str, str]) -> None:
    assert rsh(env, "there", "kill -9 $$").returncode == 137


def test_the_own_pod_needs_no_server(env: dict[str, str]) -> None:
    assert rsh(env, "here", "echo $FLOWDECK_RSH_SELF").stdout == "here\n"


def test_another_key_is_refused(env: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "other").write_text("guess")
    done = rsh({**env, "FLOWDECK_RSH_KEY": str(tmp_path / "other")}, "there", f"touch {tmp_path}/done")
    assert done.returncode == 255
    assert not (tmp_path / "done").exists()


def test_a_client_that_goes_away_takes_its_command_with_it(env: dict[str, str]) -> None:
    pipe = subprocess.PIPE
    client = subprocess.Popen([*PROGRAM, "there", "echo $$; exec sleep 60"], env=env, stdin=pipe, stdout=pipe)
    assert client.stdout is not None
    pid = int(client.stdout.readline())
    client.kill()
    client.communicate()
    with contextlib.suppress(ProcessLookupError), os.fdopen(os.pidfd_open(pid)) as end:  # it may be gone already
        assert select.select([end], [], [], 10)[0]


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["-o", "ConnectionAttempts=10", "-x", "host", "a", "b"], ("host", "a b")),
        (["host", "-v"], ("host", "-v")),
    ],
)
def test_arguments_are_those_of_ssh(arguments: list[str], wanted: tuple[str, str]) -> None:
    assert parse(arguments) == wanted


def test_too_few_arguments_are_told() -> None:
    with pytest.raises(SystemExit, match="usage"):
        parse(["host"])
