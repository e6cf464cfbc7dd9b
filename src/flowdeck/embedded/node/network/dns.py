"""DNS messages, as far as a resolver for pods needs them: one question in, an answer out. Source: RFC 1035, 2782."""

import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass

A, PTR, CNAME, SOA, AAAA, SRV, ANY = 1, 12, 5, 6, 28, 33, 255
NO_ERROR, SERVER_FAILURE, NAME_ERROR = 0, 2, 3
TTL_S = 5


class BadMessage(ValueError):
    """Not a DNS question."""


@dataclass(frozen=True)
class Question:
    id: int
    flags: int
    name: str
    """Lower case, no final dot."""
    kind: int
    raw: bytes
    """The question section as it came, to send back."""


@dataclass(frozen=True)
class Record:
    name: str
    kind: int
    data: bytes


def read_question(message: bytes) -> Question:
    """The question of a query. Raises `BadMessage`."""
    if len(message) < 17:
        raise BadMessage("too short")
    number, flags, count = struct.unpack_from("!HHH", message)
    if flags & 0x8000 or count != 1:
        raise BadMessage("not a single question")
    labels = []
    at = 12
    while True:
        if at >= len(message):
            raise BadMessage("the name ends nowhere")
        length = message[at]
        at += 1
        if length == 0:
            break
        if length > 63 or at + length > len(message):
            raise BadMessage("a bad label")
        labels.append(message[at : at + length].decode("ascii", "replace").lower())
        at += length
    if at + 4 > len(message):
        raise BadMessage("no type")
    (kind,) = struct.unpack_from("!H", message, at)
    return Question(number, flags, ".".join(labels), kind, message[12 : at + 4])


def reply(question: Question, code: int, answers: Sequence[Record] = (), *, authority: str = "") -> bytes:
    """A full answer; `authority` names our zone, so that clients remember what is missing only for a moment."""
    flags = 0x8400 | (question.flags & 0x0100) | 0x0080 | code
    extra = [_soa(authority)] if authority and not answers else []
    head = struct.pack("!HHHHHH", question.id, flags, 1, len(answers), len(extra), 0)
    return head + question.raw + b"".join(_record(each) for each in [*answers, *extra])


def truncated(question: Question) -> bytes:
    """Tells a UDP client to ask again over TCP."""
    return struct.pack("!HHHHHH", question.id, 0x8600 | (question.flags & 0x0100) | 0x0080, 1, 0, 0, 0) + question.raw


def address(name: str, ip: str) -> Record:
    return Record(name, A, socket.inet_aton(ip))


def alias(name: str, target: str) -> Record:
    return Record(name, CNAME, encode_name(target))


def pointer(name: str, target: str) -> Record:
    return Record(name, PTR, encode_name(target))


def service(name: str, port: int, target: str) -> Record:
    return Record(name, SRV, struct.pack("!HHH", 0, 100, port) + encode_name(target))


def encode_name(name: str) -> bytes:
    encoded = b"".join(bytes([len(part)]) + part for part in name.encode("ascii", "replace").split(b".") if part)
    return encoded + b"\0"


def _soa(zone: str) -> Record:
    numbers = struct.pack("!IIIII", 1, 7200, 1800, 86400, 1)
    return Record(zone, SOA, encode_name(f"ns.dns.{zone}") + encode_name(f"hostmaster.{zone}") + numbers)


def _record(record: Record) -> bytes:
    return encode_name(record.name) + struct.pack("!HHIH", record.kind, 1, TTL_S, len(record.data)) + record.data
