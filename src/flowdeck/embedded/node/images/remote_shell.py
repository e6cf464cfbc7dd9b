"""`flowdeck-rsh`: starts a command in another pod of an MPI job, as ssh and sshd do in a cluster. A program of its own.

    flowdeck-rsh --serve                          runs commands for those who hold the job's key (in place of sshd)
    flowdeck-rsh [-o OPTION]... HOST COMMAND...   runs one there (what `OMPI_MCA_plm_rsh_agent` names)

It is copied into the container's environment, so: standard library only, nothing of Flowdeck. Who knows the content of
the key file may run commands: the server sends a nonce, the client answers with an HMAC over nonce and command. Then
frames go both ways: kind (1 byte), length (4 bytes), content. Nothing is encrypted: it never leaves the machine.

FLOWDECK_RSH_KEY     the key file, which all pods of the job have
FLOWDECK_RSH_LISTEN  `host:port` to serve on
FLOWDECK_RSH_SELF    the pod's own name: commands for it need no server
FLOWDECK_RSH_HOSTS   JSON: name -> `host:port`, where names cannot be resolved
"""

import contextlib
import hmac
import json
import os
import secrets
import signal
import socket
import socketserver
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from typing import IO

ENV = os.environ  # noqa: TID251 - a program of its own
PORT = 2222
ATTEMPTS = 20
PAUSE_S = 0.5
LONGEST_COMMAND = 1 << 20
STDIN, STDOUT, STDERR, EXIT = range(4)
_WITH_VALUE = "-o", "-p", "-l", "-i", "-F"
_HEAD = struct.Struct("!BI")


def serve() -> None:
    """Serves until it is ended."""
    host, _, port = ENV["FLOWDECK_RSH_LISTEN"].rpartition(":")
    socketserver.ThreadingTCPServer.allow_reuse_address = True
    socketserver.ThreadingTCPServer.daemon_threads = True
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    with socketserver.ThreadingTCPServer((host, int(port)), Session) as server:
        server.serve_forever()


class Session(socketserver.BaseRequestHandler):
    """One command for one client."""

    def handle(self) -> None:
        self._turn = threading.Lock()
        with contextlib.suppress(OSError, EOFError):
            if command := self._command():
                self._run(command)

    def _command(self) -> bytes:
        """What the client wants run; empty when it does not hold the key."""
        nonce = secrets.token_bytes(32)
        self.request.sendall(nonce)
        proof, (length,) = _exactly(self.request, 32), struct.unpack("!I", _exactly(self.request, 4))
        command = _exactly(self.request, min(length, LONGEST_COMMAND))
        return command if hmac.compare_digest(proof, _proof(nonce, command)) else b""

    def _run(self, command: bytes) -> None:
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            ["sh", "-c", command], stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0, start_new_session=True
        )
        assert process.stdout is not None
        assert process.stderr is not None
        threading.Thread(target=self._feed, args=(process,), daemon=True).start()
        pumps = [
            threading.Thread(target=self._pump, args=(source, kind), daemon=True)
            for source, kind in ((process.stdout, STDOUT), (process.stderr, STDERR))
        ]
        for pump in pumps:
            pump.start()
        for pump in pumps:
            pump.join()
        code = process.wait()
        self._send(EXIT, struct.pack("!I", code if code >= 0 else 128 - code))

    def _feed(self, process: "subprocess.Popen[bytes]") -> None:
        """Passes input on; a client that goes away takes its command with it."""
        assert process.stdin is not None
        try:
            while True:
                _, data = _frame(self.request)
                if not data:
                    process.stdin.close()
                    continue
                with contextlib.suppress(BrokenPipeError, ValueError):
                    process.stdin.write(data)
        except (OSError, EOFError):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)

    def _pump(self, source: IO[bytes], kind: int) -> None:
        with contextlib.suppress(OSError):
            while data := source.read(65536):
                self._send(kind, data)

    def _send(self, kind: int, data: bytes) -> None:
        with self._turn:
            self.request.sendall(_HEAD.pack(kind, len(data)) + data)


def run(arguments: Sequence[str]) -> int:
    """Runs a command at a host; gives its exit code."""
    host, command = parse(arguments)
    if host == ENV.get("FLOWDECK_RSH_SELF"):
        os.execvp("sh", ["sh", "-c", command])
    where = json.loads(ENV.get("FLOWDECK_RSH_HOSTS") or "{}").get(host, f"{host}:{PORT}")
    with _connected(where) as connection:
        nonce, content = _exactly(connection, 32), command.encode()
        connection.sendall(_proof(nonce, content) + struct.pack("!I", len(content)) + content)
        threading.Thread(target=_send_input, args=(connection,), daemon=True).start()
        try:
            while True:
                kind, data = _frame(connection)
                if kind == EXIT:
                    return int(struct.unpack("!I", data)[0])
                with contextlib.suppress(OSError):
                    os.write(kind, data)
        except (OSError, EOFError):
            print(f"flowdeck-rsh: {host} ended the session: is the key the same there?", file=sys.stderr)
            return 255


def parse(arguments: Sequence[str]) -> tuple[str, str]:
    """Host and command of ssh's arguments; options mean nothing here."""
    rest = list(arguments)
    while rest and rest[0].startswith("-"):
        del rest[: 2 if rest[0] in _WITH_VALUE else 1]
    if len(rest) < 2:
        raise SystemExit("usage: flowdeck-rsh [-o OPTION]... HOST COMMAND...")
    return rest[0], " ".join(rest[1:])


def _connected(where: str) -> socket.socket:
    host, _, port = where.rpartition(":")
    for left in reversed(range(ATTEMPTS)):
        try:
            return socket.create_connection((host, int(port)))
        except OSError as error:
            if not left:
                raise SystemExit(f"flowdeck-rsh: cannot reach {where}: {error}") from error
            time.sleep(PAUSE_S)
    raise AssertionError("unreachable")


def _send_input(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            data = os.read(0, 65536)
            connection.sendall(_HEAD.pack(STDIN, len(data)) + data)
            if not data:
                return


def _proof(nonce: bytes, command: bytes) -> bytes:
    with open(ENV["FLOWDECK_RSH_KEY"], "rb") as file:
        return hmac.digest(file.read(), nonce + command, "sha256")


def _frame(connection: socket.socket) -> tuple[int, bytes]:
    kind, length = _HEAD.unpack(_exactly(connection, _HEAD.size))
    return kind, _exactly(connection, length)


def _exactly(connection: socket.socket, count: int) -> bytes:
    """That many bytes; raises `EOFError` when the other side ends before."""
    parts = b""
    while len(parts) < count:
        part = connection.recv(count - len(parts))
        if not part:
            raise EOFError
        parts += part
    return parts


if __name__ == "__main__":
    if sys.argv[1:] == ["--serve"]:
        serve()
    else:
        sys.exit(run(sys.argv[1:]))
