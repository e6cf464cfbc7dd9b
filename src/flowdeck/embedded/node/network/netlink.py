"""Links, addresses and routes of the network namespace we are in, by rtnetlink. Standard library only.

Not pyroute2: this runs in the small process that holds the network, where pyroute2's 27 MB and 0.4 s would show.
"""

import os
import socket
import struct

_NEWLINK, _DELLINK, _NEWADDR, _NEWROUTE = 16, 17, 20, 24
_REQUEST, _ACK, _EXCLUSIVE, _CREATE = 0x1, 0x4, 0x200, 0x400
_ERROR = 2
_IFLA_MTU, _IFLA_NAME, _IFLA_MASTER, _IFLA_LINKINFO, _IFLA_NET_NS_FD, _IFLA_ADDRESS = 4, 3, 10, 18, 28, 1
_UP = 1
_MAIN_TABLE, _STATIC = 254, 4
_UNICAST, _LOCAL = 1, 2
_SCOPE_GLOBAL, _SCOPE_HOST = 0, 254


class Netlink:
    """One conversation with the kernel, about the namespace in which it was opened."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        self._sequence = 0

    def __enter__(self) -> "Netlink":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def add_bridge(self, name: str, mac: bytes) -> None:
        info = _text(1, "bridge")
        self._link(
            _NEWLINK, _text(_IFLA_NAME, name) + _attr(_IFLA_ADDRESS, mac) + _attr(_IFLA_LINKINFO, info), new=True
        )

    def add_veth(self, name: str, master: str, peer: str, peer_namespace: int, mtu: int = 1500) -> None:
        """A cable: one end, `name`, plugged into a bridge here; the other, `peer`, in the namespace of that fd."""
        peer_link = (
            _link_head() + _text(_IFLA_NAME, peer) + _u32(_IFLA_NET_NS_FD, peer_namespace) + _u32(_IFLA_MTU, mtu)
        )
        info = _text(1, "veth") + _attr(2, _attr(1, peer_link))
        here = _text(_IFLA_NAME, name) + _u32(_IFLA_MASTER, socket.if_nametoindex(master)) + _u32(_IFLA_MTU, mtu)
        self._link(_NEWLINK, here + _attr(_IFLA_LINKINFO, info), new=True, up=True)

    def set_up(self, name: str) -> None:
        self._link(_NEWLINK, b"", index=socket.if_nametoindex(name), up=True)

    def remove_link(self, name: str) -> None:
        """Removes a link; it is fine when there is none."""
        try:
            self._link(_DELLINK, b"", index=socket.if_nametoindex(name))
        except OSError as error:
            if error.errno not in (19, 6):  # ENODEV, ENXIO
                raise

    def add_address(self, name: str, address: str, prefix: int) -> None:
        raw = socket.inet_aton(address)
        head = struct.pack("BBBBI", socket.AF_INET, prefix, 0, _SCOPE_GLOBAL, socket.if_nametoindex(name))
        self._ask(_NEWADDR, _CREATE | _EXCLUSIVE, head + _attr(2, raw) + _attr(1, raw))

    def add_default_route(self, gateway: str) -> None:
        self._route(_UNICAST, _SCOPE_GLOBAL, _attr(5, socket.inet_aton(gateway)))

    def make_everything_local(self) -> None:
        """Whatever no better route leads to is taken for one of our own addresses."""
        self._route(_LOCAL, _SCOPE_HOST, _u32(4, socket.if_nametoindex("lo")))

    def _route(self, kind: int, scope: int, attributes: bytes) -> None:
        head = struct.pack("BBBBBBBBI", socket.AF_INET, 0, 0, 0, _MAIN_TABLE, _STATIC, scope, kind, 0)
        self._ask(_NEWROUTE, _CREATE | _EXCLUSIVE, head + attributes)

    def _link(self, message: int, attributes: bytes, *, index: int = 0, new: bool = False, up: bool = False) -> None:
        flags = _CREATE | _EXCLUSIVE if new else 0
        self._ask(message, flags, _link_head(index, _UP if up else 0) + attributes)

    def _ask(self, message: int, flags: int, body: bytes) -> None:
        self._sequence += 1
        flags |= _REQUEST | _ACK
        self._socket.send(struct.pack("IHHII", 16 + len(body), message, flags, self._sequence, 0) + body)
        answer = self._socket.recv(65536)
        kind, error = struct.unpack_from("H", answer, 4)[0], struct.unpack_from("i", answer, 16)[0]
        if kind == _ERROR and error:
            raise OSError(-error, f"netlink: {os.strerror(-error)}")


def _link_head(index: int = 0, flags: int = 0) -> bytes:
    return struct.pack("BBHiII", socket.AF_UNSPEC, 0, 0, index, flags, flags)


def _attr(kind: int, payload: bytes) -> bytes:
    return struct.pack("HH", 4 + len(payload), kind) + payload + b"\0" * (-len(payload) % 4)


def _text(kind: int, text: str) -> bytes:
    return _attr(kind, text.encode() + b"\0")


def _u32(kind: int, value: int) -> bytes:
    return _attr(kind, struct.pack("I", value))
