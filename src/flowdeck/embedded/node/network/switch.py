"""The small process that holds the platform's network: a bridge in a namespace of its own, and the pods' cables.

It outlives the node process, so pods keep their network while the platform restarts. Standard library only, one thread.
As root it lives in the machine's user namespace and plugs the machine into the bridge too (`uplink`); namespaces are
pinned by bind mounts, so even this process may die and be started again. As another user it makes a user namespace.

Whoever may open its socket asks with one JSON object a packet and gets one back, with file descriptors where said:

    {"do": "info"}                                 -> {pid, rootless, pods: {name: address}, spaces: {name: path}}
    {"do": "plug", "name": N, "address": A}        -> {path}: the pod's namespace; asked again, the same one
    {"do": "unplug", "name": N}                    -> {}
    {"do": "socket", "kind": "tcp"|"udp", "bind": [A, P] | null, "listen": 128} -> {} and the socket, in our namespace
    {"do": "stop"}                                 -> {}; everything is taken down

An error is `{"error": text}`.
"""

import contextlib
import json
import os
import select
import signal
import socket
import struct
import sys
from typing import Any

from flowdeck.embedded.node.network.netlink import Netlink
from flowdeck.embedded.node.sandbox import linux

BRIDGE = "fd0"
_CHECK_EVERY_MS = 15_000


class Switch:
    """The network of one platform. `plan`: folder, gateway, prefix, uplink name and address (empty: no uplink)."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self._plan = plan
        self._spaces: str = os.path.join(plan["folder"], "spaces")
        self._rootless: bool = plan["rootless"]
        self._pods: dict[str, str] = {}
        self._held: dict[str, int] = {}
        """Open descriptors of the pods' namespaces."""
        self._own = -1

    def open(self) -> None:
        """Makes the network, or takes over the one that an earlier process left pinned."""
        machine = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        if self._rootless:
            _become_root_of_own()
        pinned = self._pin_of("switch")
        if not self._rootless and _is_pin(pinned):
            self._own = os.open(pinned, os.O_RDONLY | os.O_CLOEXEC)
            linux.setns(self._own, linux.CLONE_NEWNET)
            self._take_over()
        else:
            linux.unshare(linux.CLONE_NEWNET)
            self._own = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            self._build(machine)
            self._pin("switch")
        os.close(machine)

    def answer(self, request: dict[str, Any]) -> tuple[dict[str, Any], list[int]]:
        match request["do"]:
            case "info":
                return self._info(), []
            case "plug":
                return {"path": self.plug(request["name"], request["address"])}, []
            case "unplug":
                self.unplug(request["name"])
                return {}, []
            case "socket":
                return {}, [_new_socket(request)]
        raise ValueError(f"unknown request {request['do']!r}")

    def plug(self, name: str, address: str) -> str:
        if name not in self._held:
            linux.unshare(linux.CLONE_NEWNET)
            try:
                space = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
                with Netlink() as inside:
                    inside.set_up("lo")
                    self._from_own(lambda own: own.add_veth(_cable(address), BRIDGE, "eth0", space), space)
                    inside.add_address("eth0", address, self._plan["prefix"])
                    inside.set_up("eth0")
                    inside.add_default_route(self._plan["gateway"])
                self._pin(name, space, address)
            finally:
                linux.setns(self._own, linux.CLONE_NEWNET)
            self._held[name], self._pods[name] = space, address
        return self._path(name)

    def unplug(self, name: str) -> None:
        address = self._pods.pop(name, None)
        if address is None:
            return
        with Netlink() as own:
            own.remove_link(_cable(address))
        os.close(self._held.pop(name))
        self._unpin(name)

    def close(self) -> None:
        for name in list(self._pods):
            self.unplug(name)
        if self._plan["uplink"]:
            with Netlink() as own:
                own.remove_link("up0")  # the kernel would, some seconds after the namespace is gone
        self._unpin("switch")

    def _from_own(self, act: Any, back: int) -> None:
        linux.setns(self._own, linux.CLONE_NEWNET)
        try:
            with Netlink() as own:
                act(own)
        finally:
            linux.setns(back, linux.CLONE_NEWNET)

    def _build(self, machine: int) -> None:
        with Netlink() as own:
            own.set_up("lo")
            # a fixed address of its own: the lowest one of the plugged cables would change with them
            own.add_bridge(BRIDGE, b"\x02\xfd" + socket.inet_aton(self._plan["gateway"]))
            own.add_address(BRIDGE, self._plan["gateway"], self._plan["prefix"])
            own.set_up(BRIDGE)
            own.make_everything_local()
            if self._plan["uplink"]:
                own.add_veth("up0", BRIDGE, self._plan["uplink"], machine)
        if self._plan["uplink"]:
            linux.setns(machine, linux.CLONE_NEWNET)
            with Netlink() as outside:
                outside.add_address(self._plan["uplink"], self._plan["uplink_address"], self._plan["prefix"])
                outside.set_up(self._plan["uplink"])
            linux.setns(self._own, linux.CLONE_NEWNET)

    def _take_over(self) -> None:
        for entry in os.listdir(self._spaces):
            name, _, address = entry.partition("@")
            path = os.path.join(self._spaces, entry)
            if not address:
                continue
            if _is_pin(path):
                self._held[name] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                self._pods[name] = address
            else:
                os.unlink(path)

    def _info(self) -> dict[str, Any]:
        spaces = {name: self._path(name) for name in self._pods}
        return {"pid": os.getpid(), "rootless": self._rootless, "pods": self._pods, "spaces": spaces}

    def _path(self, name: str) -> str:
        """Not the pin: whoever enters may have a mount namespace of its own, in which it does not show."""
        return f"/proc/{os.getpid()}/fd/{self._held[name]}"

    def _pin_of(self, entry: str) -> str:
        return os.path.join(self._spaces, entry)

    def _pin(self, name: str, space: int = -1, address: str = "") -> None:
        if self._rootless:
            return
        os.makedirs(self._spaces, exist_ok=True)
        path = self._pin_of(f"{name}@{address}" if address else name)
        os.close(os.open(path, os.O_CREAT | os.O_CLOEXEC, 0o600))
        linux.mount(f"/proc/self/fd/{self._own if space < 0 else space}", path, flags=linux.MS_BIND)

    def _unpin(self, name: str) -> None:
        if self._rootless:
            return
        for entry in os.listdir(self._spaces):
            if entry.partition("@")[0] == name:
                with contextlib.suppress(OSError):
                    linux.unmount(self._pin_of(entry))
                os.unlink(self._pin_of(entry))


def _become_root_of_own() -> None:
    user, group = os.geteuid(), os.getegid()
    linux.unshare(linux.CLONE_NEWUSER)
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1")):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(text)


def _is_pin(path: str) -> bool:
    """True when a namespace is mounted there (a plain file is what a reboot leaves)."""
    try:
        return os.stat(path).st_dev != os.stat(os.path.dirname(path)).st_dev
    except FileNotFoundError:
        return False


def _cable(address: str) -> str:
    return "p" + socket.inet_aton(address).hex()


def _new_socket(request: dict[str, Any]) -> int:
    kind = socket.SOCK_STREAM if request["kind"] == "tcp" else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET, kind | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as made:
        if request.get("bind"):
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind(tuple(request["bind"]))
        if request.get("listen"):
            made.listen(int(request["listen"]))
        return made.detach()


class _Server:
    """Answers on the socket until it is told to stop or its folder is gone."""

    def __init__(self, switch: Switch, folder: str) -> None:
        self._switch = switch
        self._path = path = os.path.join(folder, "switch.sock")
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        os.umask(0o177)
        os.chdir(folder)  # the full path may be longer than a socket's name can be
        self._listener.bind("switch.sock")
        os.chdir("/")
        os.umask(0o077)
        self._listener.listen(16)
        self._me = os.stat(path).st_ino

    def serve(self, ready: int) -> None:
        poll = select.poll()
        poll.register(self._listener, select.POLLIN)
        talks: dict[int, socket.socket] = {}
        os.write(ready, b"1")
        os.close(ready)
        while True:
            events = poll.poll(_CHECK_EVERY_MS)
            if not events and not self._is_still_wanted():
                return
            for fd, _ in events:
                if fd == self._listener.fileno():
                    talk, _ = self._listener.accept()
                    talks[talk.fileno()] = talk
                    poll.register(talk, select.POLLIN)
                    continue
                outcome = self._serve_one(talks[fd])
                if outcome == "stop":
                    return
                if outcome == "gone":
                    poll.unregister(fd)
                    talks.pop(fd).close()

    def _serve_one(self, talk: socket.socket) -> str:
        fds: list[int] = []
        try:
            raw = talk.recv(65536)
            if not raw:
                return "gone"
            request = json.loads(raw)
            if request["do"] == "stop":
                self._switch.close()
                os.unlink(self._path)
                talk.send(b"{}")
                return "stop"
            answer, fds = self._switch.answer(request)
        except (OSError, ValueError, KeyError, TypeError) as error:
            answer = {"error": str(error) or type(error).__name__, "errno": getattr(error, "errno", None)}
        try:
            socket.send_fds(talk, [json.dumps(answer).encode()], fds)
        except OSError:
            return "gone"
        finally:
            for fd in fds:
                os.close(fd)
        return ""

    def _is_still_wanted(self) -> bool:
        try:
            return os.stat(self._path).st_ino == self._me
        except OSError:
            self._switch.close()
            return False


def main() -> None:
    """Started by `switchboard.py`: argv is the plan as JSON and the descriptor to report readiness on."""
    plan, ready = json.loads(sys.argv[1]), int(sys.argv[2])
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        switch = Switch(plan)
        switch.open()
        server = _Server(switch, plan["folder"])
    except OSError as error:
        os.write(ready, struct.pack("B", 0) + str(error).encode())
        sys.exit(1)
    server.serve(ready)
