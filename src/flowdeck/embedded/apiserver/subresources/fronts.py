"""Servers of the platform's own process: they alone are told who sends them a request through the API server."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from flowdeck.clock import Clock
from flowdeck.embedded.apiserver.contract import User
from flowdeck.web import identity
from flowdeck.web.vouchers import HEADER, Vouchers


@dataclass(frozen=True)
class Fronts:
    """Known by where they listen, whatever Service leads there: nobody else can listen at the same place."""

    clock: Clock
    vouchers: Vouchers = field(default_factory=Vouchers)
    _listening: set[str] = field(default_factory=set)

    def add(self, host: str, port: int) -> None:
        """A server of ours listens there, for as long as the process lives."""
        self._listening.add(f"{host}:{port}")

    def headers_for(self, base: str, user: User) -> Mapping[str, str]:
        """What a request to `base` (`http://127.0.0.1:8888`) shall carry besides its own headers."""
        if base.partition("://")[2] not in self._listening:
            return {}
        return {HEADER: self.vouchers.write(identity.User(user.name, user.groups), self.clock.now())}
