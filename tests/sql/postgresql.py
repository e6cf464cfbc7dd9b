"""A PostgreSQL of our own: on a free port of loopback, in a folder of its own, as somebody who is not root."""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

PASSWORD = "not-for-your-eyes"


@dataclass(frozen=True)
class PostgreSql:
    """A running server."""

    port: int

    def url(self, name: str) -> str:
        return f"postgresql://flowdeck:{PASSWORD}@127.0.0.1:{self.port}/{name}"

    def new_database(self, name: str) -> str:
        """Makes an empty one; its URL."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        return self.url(name)


def programs() -> Path:
    """The folder of `initdb` and `postgres`: Debian keeps them out of PATH."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    found = shutil.which("initdb") or (str(debian[-1]) if debian else "")
    if not found:
        pytest.skip("needs PostgreSQL: apt-get install postgresql")
    return Path(found).resolve().parent


@contextlib.contextmanager
def postgresql() -> Iterator[PostgreSql]:
    """Runs one for as long as the context lasts."""
    folder = Path(tempfile.mkdtemp(prefix="flowdeck-postgresql-", dir="/var/tmp"))
    try:
        (folder / "password").write_text(PASSWORD)
        for path in (folder, folder / "password"):
            if os.geteuid() == 0:
                os.chown(path, _somebody().pw_uid, _somebody().pw_gid)
        data = folder / "data"
        _run("initdb", "-D", str(data), "-U", "flowdeck", "--auth=scram-sha-256", f"--pwfile={folder}/password", "-N")
        port = _free_port()
        command = [
            *_as_somebody(), str(programs() / "postgres"), "-D", str(data), "-p", str(port), "-h", "127.0.0.1",
            "-k", "", "-F",
        ]  # fmt: skip
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, cwd="/")
        try:
            server = PostgreSql(port)
            _wait(server, process, folder / "log")
            yield server
        finally:
            process.send_signal(signal.SIGINT)  # ends its clients, too
            process.wait(30)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _somebody() -> pwd.struct_passwd:
    return pwd.getpwnam("nobody")


def _as_somebody() -> Sequence[str]:
    """The programs refuse to run as root."""
    if os.geteuid() != 0:
        return []
    who = _somebody()
    return ["setpriv", f"--reuid={who.pw_uid}", f"--regid={who.pw_gid}", "--clear-groups"]


def _run(program: str, *arguments: str) -> None:
    command = [*_as_somebody(), str(programs() / program), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd="/")
    assert done.returncode == 0, done.stdout + done.stderr


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def _wait(server: PostgreSql, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + 30
    while True:
        assert process.poll() is None, log.read_text()
        try:
            psycopg.connect(server.url("postgres"), connect_timeout=2).close()
            return
        except psycopg.OperationalError:
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
