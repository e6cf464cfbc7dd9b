"""`exec` and `attach` over a WebSocket: one channel a message, named by its first byte.

    0 stdin   1 stdout   2 stderr   3 how it ended (a Status)   4 size of the terminal   255 (v5) "this channel ends"

Source: kubernetes/kubernetes (staging/src/k8s.io/apiserver/pkg/util/wsstream, .../kubelet/pkg/cri/streaming).
"""

import asyncio
import base64
from collections.abc import Sequence

import msgspec

from flowdeck.embedded.node.contract import Streams
from flowdeck.embedded.node.streams.web_socket import PROTOCOL_ERROR, WebSocket
from flowdeck.kube.errors import InternalError
from flowdeck.kube.objects import Tree

V5 = "v5.channel.k8s.io"
PROTOCOLS = (
    V5,
    "v4.channel.k8s.io",
    "v3.channel.k8s.io",
    "v2.channel.k8s.io",
    "channel.k8s.io",
    "v4.base64.channel.k8s.io",
    "base64.channel.k8s.io",
)
_STDIN, _STDOUT, _STDERR, _ERROR, _RESIZE, _CLOSE = 0, 1, 2, 3, 4, 255
_LONGEST_MESSAGE_BYTES = 32 * 1024


def choose(offered: Sequence[str]) -> str | None:
    """The client's favourite among what we speak; None when there is none (or it offers none)."""
    return next((each for each in offered if each in PROTOCOLS), None)


class Terminal:
    """Joins a WebSocket and a process."""

    def __init__(self, socket: WebSocket, protocol: str | None, streams: Streams) -> None:
        self._socket = socket
        self._streams = streams
        self._is_text = protocol is not None and "base64" in protocol
        self._has_status = protocol is not None and protocol.startswith(("v4", "v5"))

    async def run(self, failure_of: "FailureOf", *, kill_when_left: bool) -> None:
        """Until the process ends, or the client leaves; the process is then killed, if so asked."""
        left = asyncio.create_task(self._read())
        output = asyncio.create_task(self._write(failure_of))
        try:
            await asyncio.wait({left, output}, return_when=asyncio.FIRST_COMPLETED)
            if not output.done() and kill_when_left:
                await self._streams.kill()
            elif not output.done():
                output.cancel()
            await asyncio.wait({output})
            if not output.cancelled():
                output.result()
        finally:
            left.cancel()
            output.cancel()
            await asyncio.gather(left, output, return_exceptions=True)
        await self._socket.close()

    async def _write(self, failure_of: "FailureOf") -> None:
        await self._send(_STDOUT, b"")  # tells the client that the process runs
        async for stream, data in self._streams.output():
            for start in range(0, len(data), _LONGEST_MESSAGE_BYTES):
                await self._send(stream, data[start : start + _LONGEST_MESSAGE_BYTES])
        code = await self._streams.wait()
        await self.tell_end(not_started(self._streams.failure) if self._streams.failure else failure_of(code))

    async def tell_end(self, failure: Tree | None) -> None:
        """Sends the Status on the error channel."""
        if self._has_status:
            status = failure or {"metadata": {}, "status": "Success"}
            await self._send(_ERROR, msgspec.json.encode(status))
        elif failure:
            await self._send(_ERROR, str(failure["message"]).encode())

    async def _read(self) -> None:
        while (message := await self._socket.receive()) is not None:
            if not message:
                continue
            channel, data = message[0], message[1:]
            if self._is_text:
                channel, data = channel - 48, base64.b64decode(data)
            if channel == _STDIN and data:
                await self._streams.write_stdin(data)
            elif channel == _RESIZE:
                await self._resize(data)
            elif channel == _CLOSE and data[:1] == b"\0":
                await self._streams.close_stdin()
            elif channel not in (_STDIN, _CLOSE):
                await self._socket.close(PROTOCOL_ERROR, f"unexpected channel {channel}")
                return

    async def _resize(self, data: bytes) -> None:
        try:
            size = msgspec.json.decode(data, type=dict[str, int])
        except msgspec.DecodeError:
            return  # as upstream: a size that cannot be read changes nothing
        width, height = size.get("Width", 0), size.get("Height", 0)
        if 0 < width < 65536 and 0 < height < 65536:
            await self._streams.resize(width, height)

    async def _send(self, channel: int, data: bytes) -> None:
        if self._is_text:
            await self._socket.send(bytes([channel + 48]) + base64.b64encode(data))
        else:
            await self._socket.send(bytes([channel]) + data)


async def refuse(socket: WebSocket, why: str) -> None:
    """Says on the error channel of an accepted v5 WebSocket why there will be no stream."""
    await socket.send(bytes([_ERROR]) + msgspec.json.encode(internal_error(why)))
    await socket.close()


def not_started(why: str) -> Tree:
    return internal_error(f"error executing command in container: {why}")


def internal_error(why: str) -> Tree:
    return InternalError(f"Internal error occurred: {why}").to_status()


class FailureOf:
    """Turns the exit code of a command into the Status that clients read it from."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command

    def __call__(self, code: int) -> Tree | None:
        if code == 0 or not self._command:
            return None
        told = f"error executing command [{' '.join(self._command)}], exit code {code}"
        return {
            "metadata": {},
            "status": "Failure",
            "message": f"command terminated with non-zero exit code: {told}",
            "reason": "NonZeroExitCode",
            "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
        }
