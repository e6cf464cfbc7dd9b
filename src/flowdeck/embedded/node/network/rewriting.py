"""What a container is told instead of the cluster's names and well-known ports, where it shares the machine's network.

Pure. The text of variables and arguments is searched for names of the cluster; a name becomes an address of this
machine, and `name:port` an address and a port that is free here. API objects keep what they say; only the process at
its start gets the other words.
"""

import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_LABEL = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
_PAIRS = {
    "PET_MASTER_PORT": "PET_MASTER_ADDR",
    "MASTER_PORT": "MASTER_ADDR",
    "DMLC_TRACKER_PORT": "DMLC_TRACKER_URI",
    "COORDINATOR_PORT": "COORDINATOR_ADDRESS",
}
"""Variables that hold a port alone, and the variable with the host it belongs to."""
_DEFAULT_PORTS = {"http": 80, "https": 443, "grpc": 80, "ws": 80, "wss": 443}


@dataclass(frozen=True)
class Place:
    """Where a name leads on this machine."""

    address: str
    port_of: Callable[[int], int]
    """The port that stands here for a port of the pod or Service."""


Find = Callable[[str, str, str], Place | None]
"""`(host, service, namespace)`: the place of a member (`host` may be empty: the Service itself); None: not known."""


@dataclass(frozen=True, kw_only=True)
class Names:
    """The names that one pod can use."""

    namespace: str
    services: Collection[str]
    """Services of its namespace, with its own subdomain among them."""
    domain: str
    find: Find

    def rewrite(self, env: Mapping[str, str], args: Sequence[str]) -> tuple[dict[str, str], list[str]]:
        found = {name: self._variable(name, value, env) for name, value in env.items()}
        return found, [self.text(arg) for arg in args]

    def text(self, text: str) -> str:
        """One text with all names in it replaced."""
        return self._pattern.sub(self._replaced, text)

    def _variable(self, name: str, value: str, env: Mapping[str, str]) -> str:
        if name == "TF_CONFIG":
            return self._tf_config(value)
        host = env.get(_PAIRS.get(name, ""), "")
        if host and value.isdigit() and (found := self._pattern.fullmatch(host)) and (place := self._place(found)):
            return str(place.port_of(int(value)))
        return self.text(value)

    def _tf_config(self, value: str) -> str:
        try:
            tree: Any = json.loads(value)
        except json.JSONDecodeError:
            return self.text(value)
        return json.dumps(_each_text(tree, self.text))

    @property
    def _pattern(self) -> re.Pattern[str]:
        """`[scheme://][host.]service[.namespace[.svc[.domain]]][:port]`.

        A bare Service name counts only with a port, with a scheme, or alone: it may be any word."""
        known = "|".join(sorted(map(re.escape, self.services), key=len, reverse=True)) or r"(?!)"
        domain = re.escape(self.domain)
        return re.compile(
            rf"(?<![\w.@/-])(?:(?P<scheme>[a-z]+)://)?"
            rf"(?:(?P<full>(?:{_LABEL}\.){{1,2}}{_LABEL}\.svc(?:\.{domain})?)"
            rf"|(?P<host>{_LABEL})\.(?P<of>{known})(?:\.{re.escape(self.namespace)})?"
            rf"|(?P<bare>{known})(?:\.{re.escape(self.namespace)})?)"
            rf"(?::(?P<port>\d{{1,5}}))?(?![\w.-])"
        )

    def _place(self, found: re.Match[str]) -> Place | None:
        if full := found["full"]:
            labels = full.removesuffix(f".{self.domain}").removesuffix(".svc").split(".")
            return self.find(*labels) if len(labels) == 3 else self.find("", *labels)
        if found["of"]:
            return self.find(found["host"], found["of"], self.namespace)
        return self.find("", found["bare"], self.namespace)

    def _replaced(self, found: re.Match[str]) -> str:
        is_alone = found.span() == (0, len(found.string))
        if found["bare"] and not (found["port"] or found["scheme"] or is_alone):
            return found.group()
        place = self._place(found)
        if place is None:
            return found.group()
        scheme = found["scheme"]
        port = int(found["port"]) if found["port"] else _DEFAULT_PORTS.get(scheme or "")
        start = f"{scheme}://" if scheme else ""
        return f"{start}{place.address}" + (f":{place.port_of(port)}" if port else "")


def _each_text(tree: Any, change: Callable[[str], str]) -> Any:
    if isinstance(tree, str):
        return change(tree)
    if isinstance(tree, list):
        return [_each_text(item, change) for item in tree]
    if isinstance(tree, dict):
        return {name: _each_text(item, change) for name, item in tree.items()}
    return tree
