"""kubectl as tests use it: commands, commands that must fail, commands that go on, commands on a terminal."""

import contextlib
import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import yaml

TIMEOUT_S = 60


@dataclass(frozen=True)
class Kubectl:
    """kubectl as administrator, in one namespace. Arguments are as typed, split at spaces in the first one."""

    kubeconfig: Path
    namespace: str
    env: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, line: str, *more: str, stdin: str = "") -> str:
        """What it prints; fails with what it says when it does not succeed."""
        done = self.run(line, *more, stdin=stdin)
        assert done.returncode == 0, f"kubectl {line} {more}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def fails(self, line: str, *more: str, stdin: str = "", code: int = 1) -> str:
        """What it complains; fails when it succeeds."""
        done = self.run(line, *more, stdin=stdin)
        assert done.returncode == code, f"kubectl {line}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stderr

    def run(self, line: str, *more: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self._command(line, more),
            input=stdin,
            env=self._env,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
        )

    def json(self, line: str, *more: str) -> Any:
        return json.loads(self(line, *more, "-o", "json"))

    def apply(self, *trees: Mapping[str, Any], options: str = "") -> str:
        return self(f"apply {options} -f -", stdin="---\n".join(yaml.safe_dump(dict(tree)) for tree in trees))

    def pod(self, name: str, *command: str, options: str = "") -> None:
        """A pod of one container, ready. Its command ends at SIGTERM."""
        self(f"run {name} --image=busybox {options} --command --", *(command or ("sleep", "100000")))
        self(f"wait --for=condition=Ready pod/{name} --timeout=30s")

    @contextlib.contextmanager
    def started(self, line: str, *more: str) -> "Iterator[subprocess.Popen[str]]":
        """A command that goes on: its output is read by line; it is interrupted at the end."""
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            self._command(line, more), env=self._env, stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT, text=True
        )
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=TIMEOUT_S)

    def until(self, line: str, text: str) -> str:
        """Waits for output with that text from a command that goes on; gives that line."""
        with self.started(line) as process:
            return expect_line(process.stdout, text)

    @contextlib.contextmanager
    def on_terminal(self, line: str, *more: str) -> "Iterator[Terminal]":
        """A command on a terminal of 24 lines and 80 columns."""
        ours, theirs = pty.openpty()
        terminal = Terminal(ours)
        terminal.resize(24, 80)
        terminal.process = subprocess.Popen(
            self._command(line, more), env=self._env, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
        )
        os.close(theirs)
        try:
            yield terminal
        finally:
            terminal.process.kill()
            terminal.process.wait()
            os.close(ours)

    def _command(self, line: str, more: tuple[str, ...]) -> list[str]:
        return ["kubectl", "--kubeconfig", str(self.kubeconfig), "--namespace", self.namespace, *line.split(), *more]

    @property
    def _env(self) -> dict[str, str]:
        return {**os.environ, "HOME": str(self.kubeconfig.parent), **self.env}


class Terminal:
    """Our end of a terminal."""

    process: "subprocess.Popen[bytes]"

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._seen = ""

    def resize(self, lines: int, columns: int) -> None:
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        if hasattr(self, "process"):
            self.process.send_signal(signal.SIGWINCH)

    def type(self, text: str) -> None:
        os.write(self._fd, text.encode())

    def expect(self, text: str) -> str:
        """Reads until `text` was shown; gives what was shown since the last call."""
        until = time.monotonic() + TIMEOUT_S
        while text not in self._seen:
            assert select.select([self._fd], [], [], max(0, until - time.monotonic()))[0], f"no {text!r}: {self._seen}"
            try:
                data = os.read(self._fd, 65536)
            except OSError:
                data = b""
            assert data, f"it ended without {text!r}: {self._seen}"
            self._seen += data.decode()
        shown, _, self._seen = self._seen.partition(text)
        return shown + text

    def code(self) -> int:
        """The exit code; the rest of the output is dropped."""
        with contextlib.suppress(OSError):
            while os.read(self._fd, 65536):
                pass
        return self.process.wait(TIMEOUT_S)


def expect_line(output: IO[str] | None, text: str) -> str:
    """The first line of a started command with that text."""
    assert output is not None
    for line in output:
        if text in line:
            return line
    raise AssertionError(f"it ended without {text!r}")


def rows(table: str) -> list[list[str]]:
    """A table's cells, the header first."""
    return [line.split() for line in table.splitlines()]
