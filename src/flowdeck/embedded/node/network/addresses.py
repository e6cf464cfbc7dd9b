"""Which private addresses a platform uses for its pods: a subnet that nothing on this machine uses, kept in a file."""

import hashlib
import ipaddress
import itertools
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

_PREFIX = 20
_RESERVED = 16
"""The first addresses: gateway (1), the machine's uplink (2), room for more."""


@dataclass(frozen=True)
class Subnet:
    """The pods' subnet."""

    network: ipaddress.IPv4Network

    @property
    def gateway(self) -> str:
        return str(self.network[1])

    @property
    def uplink(self) -> str:
        return str(self.network[2])

    @property
    def prefix(self) -> int:
        return self.network.prefixlen

    def addresses_after(self, last: str) -> Iterator[str]:
        """All addresses for pods once, beginning after `last`: so that an address rests before it is used again."""
        end = self.network.num_addresses - 1
        is_ours = last and ipaddress.IPv4Address(last) in self.network
        start = int(ipaddress.IPv4Address(last)) - int(self.network[0]) + 1 if is_ours else _RESERVED
        for number in itertools.chain(range(start, end), range(_RESERVED, start)):
            yield str(self.network[number])


class Addresses:
    """Hands out pod addresses; `file` remembers the subnet, the pods and the last address over restarts."""

    def __init__(self, file: Path, *, wanted: str = "", taken: Iterable[ipaddress.IPv4Network] | None = None) -> None:
        self._file = file
        known = json.loads(file.read_text()) if file.exists() else {}
        network = (
            wanted
            or known.get("subnet")
            or str(_free_subnet(str(file), machine_networks() if taken is None else taken))
        )
        self.subnet = Subnet(ipaddress.IPv4Network(network))
        same = known.get("subnet") == network
        self._pods: dict[str, str] = known["pods"] if same else {}
        self._last: str = known["last"] if same else ""
        if not same:
            self._save()

    def of(self, uid: str) -> str | None:
        return self._pods.get(uid)

    def pods(self) -> dict[str, str]:
        return dict(self._pods)

    def take(self, uid: str) -> str:
        """The pod's address; a new one the first time. Raises `RuntimeError` when all are in use."""
        if uid not in self._pods:
            used = set(self._pods.values())
            free = next((each for each in self.subnet.addresses_after(self._last) if each not in used), None)
            if free is None:
                raise RuntimeError(f"no free address left in {self.subnet.network}")
            self._pods[uid] = self._last = free
            self._save()
        return self._pods[uid]

    def remember(self, uid: str, address: str) -> None:
        """Notes what a pod has already (the file may be lost or older)."""
        if self._pods.get(uid) != address:
            self._pods[uid] = address
            self._save()

    def release(self, uid: str) -> None:
        if self._pods.pop(uid, None):
            self._save()

    def _save(self) -> None:
        draft = self._file.with_suffix(".draft")
        tree = {"subnet": str(self.subnet.network), "pods": self._pods, "last": self._last}
        draft.write_text(json.dumps(tree))
        os.replace(draft, self._file)


def machine_networks() -> list[ipaddress.IPv4Network]:
    """What the machine's links and routes use already."""
    found = [
        ipaddress.IPv4Network((each.address, each.netmask or "255.255.255.255"), strict=False)
        for links in psutil.net_if_addrs().values()
        for each in links
        if each.family.name == "AF_INET"
    ]
    try:
        lines = Path("/proc/net/route").read_text().splitlines()[1:]
    except OSError:
        return found
    for line in lines:
        words = line.split()
        mask = _from_hex(words[7])
        if mask != "0.0.0.0":
            found.append(ipaddress.IPv4Network((_from_hex(words[1]), mask), strict=False))
    return found


def _free_subnet(seed: str, taken: Iterable[ipaddress.IPv4Network]) -> ipaddress.IPv4Network:
    """One of the 1,024 /20 subnets of 10.192.0.0/10, first tried where `seed` points, so that platforms side by side
    rarely meet."""
    used = list(taken)
    subnets = list(ipaddress.IPv4Network("10.192.0.0/10").subnets(new_prefix=_PREFIX))
    start = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:4], "big") % len(subnets)
    for subnet in subnets[start:] + subnets[:start]:
        if not any(subnet.overlaps(each) for each in used):
            return subnet
    raise RuntimeError("every private subnet of 10.192.0.0/10 is in use on this machine; set node.network.pod_subnet")


def _from_hex(word: str) -> str:
    return str(ipaddress.IPv4Address(int.from_bytes(bytes.fromhex(word), "little")))
