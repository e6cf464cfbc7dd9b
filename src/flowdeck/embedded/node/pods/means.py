"""What the pods of a node are run with."""

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Protocol

from flowdeck.client.base import Client
from flowdeck.clock import Clock
from flowdeck.controller.events import Events
from flowdeck.embedded.node.contract import Images, Network
from flowdeck.embedded.node.control_groups import ControlGroups
from flowdeck.embedded.node.machine import Gpus
from flowdeck.embedded.node.past_logs import PastLogs
from flowdeck.embedded.node.pods.seen import BackOff
from flowdeck.embedded.node.sandbox.client import Zygote
from flowdeck.embedded.node.sandbox.driver import Driver
from flowdeck.embedded.node.settings import NodeSettings


class Dial(Protocol):
    async def __call__(self, address: str, port: int) -> socket.socket:
        """A connected TCP socket to an address of a pod, or any other. Raises `OSError`."""
        ...


@dataclass(frozen=True, kw_only=True)
class Basics:
    """What every pod's worker needs, whatever acts its decisions out."""

    settings: NodeSettings
    client: Client
    clock: Clock
    events: Events

    @property
    def back_off(self) -> BackOff:
        return BackOff(start_s=self.settings.crash_loop_start_s, max_s=self.settings.crash_loop_max_s)


@dataclass(frozen=True, kw_only=True)
class Means(Basics):
    """What pods need that run as processes. Made once, by the composition root."""

    driver: Driver
    zygote: Zygote
    images: Images
    network: Network
    dial: Dial
    control_groups: ControlGroups
    gpus: Gpus
    allocatable: Mapping[str, str] = field(default_factory=dict)

    @property
    def hidden(self) -> Sequence[Path]:
        """What no pod may see."""
        return [self.settings.data, *self.settings.hidden]

    @cached_property
    def past_logs(self) -> PastLogs:
        return PastLogs(self.settings.data / "past-logs")

    def pod_folder(self, uid: str) -> Path:
        return self.settings.data / "pods" / uid

    def log_folder(self, namespace: str, name: str, uid: str) -> Path:
        return self.settings.data / "logs" / f"{namespace}_{name}_{uid}"
