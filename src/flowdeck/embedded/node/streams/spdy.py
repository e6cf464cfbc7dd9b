"""SPDY/3.1 frames, as Kubernetes clients tunnel them through a WebSocket. No I/O.

Only what they use: streams with headers, data, half-close, reset, ping. Flow control is left to the transport, as their
own library does. Source: the SPDY protocol, draft 3.1 (frames in 2.2, 2.6; the compression dictionary in 2.6.10.1).
"""

import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

_SYN_STREAM, _SYN_REPLY, _RST_STREAM, _PING = 1, 2, 3, 6
_FIN = 0x01
_VERSION = 3
LONGEST_FRAME_BYTES = 1 << 20
"""A longer frame is refused; clients send at most 32 KiB at once."""
LONGEST_HEADERS_BYTES = 64 * 1024
CANCEL, PROTOCOL_ERROR = 5, 1

_WORDS = (
    "options head post put delete trace accept accept-charset accept-encoding accept-language "
    "accept-ranges age allow authorization cache-control connection content-base content-encoding "
    "content-language content-length content-location content-md5 content-range content-type date etag "
    "expect expires from host if-match if-modified-since if-none-match if-range if-unmodified-since "
    "last-modified location max-forwards pragma proxy-authenticate proxy-authorization range referer "
    "retry-after server te trailer transfer-encoding upgrade user-agent vary via warning www-authenticate "
    "method get status 200~OK version HTTP/1.1 url public set-cookie keep-alive origin"
)
_TAIL = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505203 Non-Au"
    "thoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidd"
    "en404 Not Found500 Internal Server Error501 Not Implemented503 Service UnavailableJan Feb Mar Apr Ma"
    "y Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMTchunked,text/html,imag"
    "e/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,text/javascript,publicpri"
    "vatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0."
)
DICTIONARY = (
    b"".join(struct.pack("!I", len(word)) + word.replace("~", " ").encode() for word in _WORDS.split()) + _TAIL.encode()
)


class SpdyError(ValueError):
    """The peer broke the protocol."""


@dataclass(frozen=True)
class Opened:
    """The peer opens a stream."""

    stream: int
    headers: Mapping[str, str]
    is_last: bool = False


@dataclass(frozen=True)
class Data:
    stream: int
    data: bytes
    is_last: bool = False
    """The peer will send nothing more on this stream."""


@dataclass(frozen=True)
class Reset:
    stream: int


@dataclass(frozen=True)
class Ping:
    id: int


@dataclass(frozen=True)
class GoneAway:
    """The peer will open no more streams."""


Frame = Opened | Data | Reset | Ping | GoneAway


@dataclass
class Framer:
    """One side of one SPDY connection: bytes in, frames out, and the other way round."""

    _buffer: bytearray = field(default_factory=bytearray)

    def __post_init__(self) -> None:
        self._inflate = zlib.decompressobj(zdict=DICTIONARY)
        self._deflate = zlib.compressobj(zdict=DICTIONARY)

    def receive(self, data: bytes) -> Iterator[Frame]:
        """The frames that are complete now. Raises `SpdyError`."""
        self._buffer += data
        while len(self._buffer) >= 8:
            first, second = struct.unpack_from("!II", self._buffer)
            flags, length = second >> 24, second & 0xFFFFFF
            if length > LONGEST_FRAME_BYTES:
                raise SpdyError(f"a frame of {length} bytes")
            if len(self._buffer) < 8 + length:
                return
            body = bytes(self._buffer[8 : 8 + length])
            del self._buffer[: 8 + length]
            if not first >> 31:
                yield Data(first, body, bool(flags & _FIN))
            elif frame := self._control(first & 0xFFFF, flags, body):
                yield frame

    def _control(self, kind: int, flags: int, body: bytes) -> Frame | None:
        try:
            match kind:
                case 1:
                    return Opened(_number(body, 0) & 0x7FFFFFFF, self._headers(body[10:]), bool(flags & _FIN))
                case 2:
                    self._headers(body[4:])
                case 8:
                    stream = _number(body, 0) & 0x7FFFFFFF
                    self._headers(body[4:])
                    return Data(stream, b"", is_last=True) if flags & _FIN else None
                case 3:
                    return Reset(_number(body, 0) & 0x7FFFFFFF)
                case 6:
                    return Ping(_number(body, 0))
                case 7:
                    return GoneAway()
        except (struct.error, zlib.error) as error:
            raise SpdyError(str(error)) from error
        return None  # settings, window updates, what else there may be

    def reply(self, stream: int) -> bytes:
        """Accepts a stream that the peer opened."""
        return _frame(_SYN_REPLY, 0, struct.pack("!I", stream) + self._packed({}))

    def open(self, stream: int, headers: Mapping[str, str]) -> bytes:
        """Opens a stream; the number is odd on a client's side, even on a server's, and grows."""
        head = struct.pack("!IIBB", stream, 0, 0, 0)
        return _frame(_SYN_STREAM, 0, head + self._packed(headers))

    @staticmethod
    def data(stream: int, data: bytes, *, is_last: bool = False) -> bytes:
        return struct.pack("!II", stream, (_FIN if is_last else 0) << 24 | len(data)) + data

    @staticmethod
    def reset(stream: int, status: int = CANCEL) -> bytes:
        return _frame(_RST_STREAM, 0, struct.pack("!II", stream, status))

    @staticmethod
    def ping(number: int) -> bytes:
        return _frame(_PING, 0, struct.pack("!I", number))

    def _headers(self, packed: bytes) -> dict[str, str]:
        raw = self._inflate.decompress(packed, LONGEST_HEADERS_BYTES)
        if self._inflate.unconsumed_tail:
            raise SpdyError("headers are too long")
        headers: dict[str, str] = {}
        at = 4
        for _ in range(_number(raw, 0)):
            name, at = _text(raw, at)
            value, at = _text(raw, at)
            headers[name.lower()] = value
        return headers

    def _packed(self, headers: Mapping[str, str]) -> bytes:
        raw = struct.pack("!I", len(headers))
        for name, value in headers.items():
            raw += struct.pack("!I", len(name)) + name.lower().encode() + struct.pack("!I", len(value)) + value.encode()
        return self._deflate.compress(raw) + self._deflate.flush(zlib.Z_SYNC_FLUSH)


def _frame(kind: int, flags: int, body: bytes) -> bytes:
    return struct.pack("!HHI", 0x8000 | _VERSION, kind, flags << 24 | len(body)) + body


def _number(raw: bytes, at: int) -> int:
    number: int = struct.unpack_from("!I", raw, at)[0]
    return number


def _text(raw: bytes, at: int) -> tuple[str, int]:
    length = _number(raw, at)
    if at + 4 + length > len(raw):
        raise SpdyError("a header ends nowhere")
    return raw[at + 4 : at + 4 + length].decode("latin-1"), at + 4 + length
