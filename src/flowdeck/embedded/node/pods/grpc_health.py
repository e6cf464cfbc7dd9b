"""Just enough HTTP/2 to ask `grpc.health.v1.Health/Check`: one request on one connection, no header decoding."""

import asyncio
import struct

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RESET, _SETTINGS, _PING, _GO_AWAY = 0, 1, 3, 4, 6, 7
_ACK, _END_STREAM, _END_HEADERS, _PADDED = 1, 1, 4, 8
_SERVING = 1
_LONGEST_FRAME = 16 * 1024
"""What a server may send to a client that has not asked for more."""
_LONGEST_ANSWER = 64 * 1024


class HealthError(Exception):
    """The service is not serving, or does not speak gRPC."""


async def check_health(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, authority: str, service: str
) -> None:
    """Returns when the service says that it serves. Raises `HealthError`."""
    name = service.encode()
    message = (b"\x0a" + _varint(len(name)) + name) if name else b""
    body = struct.pack("!BI", 0, len(message)) + message
    writer.write(_PREFACE + _frame(_SETTINGS, 0, 0, b""))
    writer.write(_frame(_HEADERS, _END_HEADERS, 1, _headers(authority)) + _frame(_DATA, _END_STREAM, 1, body))
    await writer.drain()
    answer = bytearray()
    while True:
        kind, flags, stream, payload = await _read(reader)
        if kind == _SETTINGS and not flags & _ACK:
            writer.write(_frame(_SETTINGS, _ACK, 0, b""))
        elif kind == _PING and not flags & _ACK:
            writer.write(_frame(_PING, _ACK, 0, payload))
        elif kind == _DATA and stream == 1:
            answer += _content(payload, is_padded=bool(flags & _PADDED))
            if len(answer) > _LONGEST_ANSWER:
                raise HealthError("the answer is too long")
        elif kind in (_RESET, _GO_AWAY):
            raise HealthError("the connection was closed")
        if stream == 1 and flags & _END_STREAM and kind in (_DATA, _HEADERS):
            return _judge(bytes(answer))


def _varint(number: int) -> bytes:
    coded = bytearray()
    while number > 127:
        coded.append(number & 127 | 128)
        number >>= 7
    return bytes([*coded, number])


def _content(payload: bytes, *, is_padded: bool) -> bytes:
    if not is_padded:
        return payload
    if not payload or payload[0] >= len(payload):
        raise HealthError("the answer is not HTTP/2")
    return payload[1 : len(payload) - payload[0]]


def _judge(answer: bytes) -> None:
    message = answer[5:]
    status = message[1] if len(message) >= 2 and message[0] == 0x08 else 0
    if not answer:
        raise HealthError("the service does not know this health check")
    if status != _SERVING:
        names = {0: "UNKNOWN", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}
        raise HealthError(f"service unhealthy (responded with {names.get(status, status)!r})".replace("'", '"'))


def _headers(authority: str) -> bytes:
    """The request's headers, each as a literal that is never indexed."""
    fields = {
        ":method": "POST", ":scheme": "http", ":path": "/grpc.health.v1.Health/Check", ":authority": authority,
        "content-type": "application/grpc", "te": "trailers", "user-agent": "flowdeck-probe",
    }  # fmt: skip
    return b"".join(b"\x10" + _text(name) + _text(value) for name, value in fields.items())


def _text(text: str) -> bytes:
    raw = text.encode()
    if len(raw) < 127:
        return bytes([len(raw)]) + raw
    return bytes([127, len(raw) - 127]) + raw  # names are at most 253 bytes


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack("!I", len(payload))[1:] + struct.pack("!BBI", kind, flags, stream) + payload


async def _read(reader: asyncio.StreamReader) -> tuple[int, int, int, bytes]:
    try:
        head = await reader.readexactly(9)
        length = int.from_bytes(head[:3], "big")
        if length > _LONGEST_FRAME:
            raise HealthError("the answer is not HTTP/2")
        kind, flags, stream = struct.unpack("!BBI", head[3:])
        return kind, flags, stream & 0x7FFFFFFF, await reader.readexactly(length)
    except asyncio.IncompleteReadError as error:
        raise HealthError("the connection was closed") from error
