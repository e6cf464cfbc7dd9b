"""Acts pods out as if they ran: nothing is started, nothing is on disk; their containers end when their time has come.

One node process carries thousands of such pods. Everything else of a pod's life is what it is for the other drivers.
What an earlier process of the node did is read from the pods' statuses.
"""

import asyncio
import ipaddress
import secrets
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import NoReturn

from flowdeck.clock import Clock
from flowdeck.embedded.node.contract import Streams
from flowdeck.embedded.node.pods.acting import Act, Tell
from flowdeck.embedded.node.pods.roster import Roster
from flowdeck.embedded.node.pods.seen import ContainerSeen, Run
from flowdeck.embedded.node.pods.spec import init_containers, is_sidecar, restart_policy
from flowdeck.kube.errors import BadRequest, NotFound
from flowdeck.kube.objects import ObjectKey, Tree, annotations_of, get_in
from flowdeck.kube.times import parse_time

RUN_S = "simulated.flowdeck.dev/run-seconds"
"""Annotation of a pod: for how long its containers run; default: the node's setting, for ever where they restart."""
LONGEST_RUN_S = 10**9
EXIT_CODE = "simulated.flowdeck.dev/exit-code"
"""Annotation of a pod: how its containers end; default 0."""
TERMINATED = 143
"""How a container ends that is stopped: by SIGTERM."""
CAPACITY = {"cpu": "100000", "memory": "1Pi", "ephemeral-storage": "1Pi"}
ADDRESSES = ipaddress.IPv4Network("198.18.0.0/15")
"""Where addresses are taken from. They lead nowhere. Source: RFC 2544."""


@dataclass
class Simulation:
    """Implements `Acting`."""

    clock: Clock
    run_s: float
    _addresses: "Addresses" = field(default_factory=lambda: Addresses())

    def refusal(self, pod: Tree) -> tuple[str, str] | None:
        for name, number, most in ((RUN_S, float, LONGEST_RUN_S), (EXIT_CODE, int, 255)):
            text = annotations_of(pod).get(name, "0")
            try:
                is_good = 0 <= number(text) <= most
            except ValueError:
                is_good = False
            if not is_good:
                why = f"annotation {name} must be a number from 0 to {most}, not {text!r}"
                return "InvalidPod", f"Pod was rejected: {why}"
        return None

    def begin(self, pod: Tree) -> "Act[SimulatedKeeper]":
        place = SimulatedPlace(pod, self._addresses)

        def keeper(
            container: Tree, tell: Tell, changed: Callable[[], None], tasks: asyncio.TaskGroup
        ) -> SimulatedKeeper:
            return SimulatedKeeper(place.pod, container, self.clock, self.run_s, changed, tasks)

        return Act(place, keeper)

    def is_here(self, uid: str) -> bool:
        return False

    def left_behind(self, known: set[str]) -> Sequence[Tree]:
        return ()


class Addresses:
    """Who has which address."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._next = 0

    def take(self, wanted: str) -> str:
        """The wanted address, or any that nobody has."""
        while not wanted or wanted in self._taken:
            self._next = self._next % (ADDRESSES.num_addresses - 2) + 1
            wanted = str(ADDRESSES[self._next])
        self._taken.add(wanted)
        return wanted

    def give_back(self, address: str) -> None:
        self._taken.discard(address)


@dataclass
class SimulatedPlace:
    """Implements `ActedPlace`: an address, and nothing to remember."""

    pod: Tree
    addresses: Addresses
    ip: str = ""
    needs_refresh: bool = False

    def save(self) -> None:
        return

    def note_end(self, reason: str, message: str) -> None:
        return

    def end_noted(self) -> tuple[str, str] | None:
        return None

    def was_torn_down(self) -> bool:
        return False

    async def set_up(self) -> None:
        self.ip = self.ip or self.addresses.take(get_in(self.pod, "status", "podIP", default=""))

    async def refresh(self) -> None:
        return

    def overfull(self) -> str:
        return ""

    async def tear_down(self) -> None:
        self.addresses.give_back(self.ip)

    def forget(self) -> None:
        return


@dataclass
class SimulatedKeeper:
    """Implements `ActedKeeper`. A container is ready at once; one that must end before others begin ends at once."""

    pod: Tree
    container: Tree
    clock: Clock
    run_s: float
    changed: Callable[[], None]
    tasks: asyncio.TaskGroup
    seen: ContainerSeen = field(default_factory=ContainerSeen)

    def __post_init__(self) -> None:
        self.name: str = self.container["name"]

    async def recall(self) -> None:
        told = _status_of(self.pod, self.name)
        now, last = told.get("state") or {}, told.get("lastState") or {}
        ended = now.get("terminated") or last.get("terminated")
        if "running" in now:
            run = self._new_run(int(told["restartCount"]), parse_time(now["running"]["startedAt"]))
            self._run(replace(run, id=_bare_id(told)))
        elif ended:
            self.seen = ContainerSeen(run=_ended_run(self.container, told, ended))

    def start(self, attempt: int, back_off_s: float) -> None:
        run = replace(self._new_run(attempt, self.clock.now()), back_off_s=back_off_s)
        self._run(run)

    def stop(self, grace_s: float, message: str) -> None:
        if self.seen.run is not None:
            self._end(self.seen.run, self.clock.now(), TERMINATED)

    def _new_run(self, attempt: int, started_at: datetime) -> Run:
        return Run(attempt=attempt, id=secrets.token_hex(32), image=self.container["image"], started_at=started_at)

    def _run(self, run: Run) -> None:
        seconds = self._seconds()
        self.seen = ContainerSeen(run=run, previous=self.seen.run, is_started=True, is_ready=True)
        if seconds == 0:
            self._end(run, run.started_at, self._exit_code())
        elif seconds is not None:
            self.tasks.create_task(self._end_after(run, seconds), name=f"end {self.name}")
        self.changed()

    def _seconds(self) -> float | None:
        """How long the container runs; None: until it is stopped."""
        if self.container in init_containers(self.pod):
            return None if is_sidecar(self.container) else 0.0
        if wanted := annotations_of(self.pod).get(RUN_S):
            return float(wanted)
        return None if restart_policy(self.pod) == "Always" else self.run_s

    def _exit_code(self) -> int:
        is_init = self.container in init_containers(self.pod)
        return 0 if is_init else int(annotations_of(self.pod).get(EXIT_CODE, "0"))

    async def _end_after(self, run: Run, seconds: float) -> None:
        end = (run.started_at or self.clock.now()) + timedelta(seconds=seconds)
        await self.clock.sleep((end - self.clock.now()).total_seconds())
        self._end(run, self.clock.now(), self._exit_code())

    def _end(self, run: Run, moment: datetime | None, exit_code: int) -> None:
        if self.seen.run is None or self.seen.run.id != run.id or not self.seen.is_running:
            return
        ended = replace(run, ended_at=moment, exit_code=exit_code, reason="Error" if exit_code else "Completed")
        self.seen = ContainerSeen(run=ended, previous=self.seen.previous)
        self.changed()


def _status_of(pod: Tree, container: str) -> Tree:
    status = pod.get("status") or {}
    told = (*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ()))
    return next((each for each in told if each["name"] == container), {})


def _bare_id(told: Tree) -> str:
    return str(told.get("containerID", "")).rpartition("/")[2]


def _ended_run(container: Tree, told: Tree, ended: Tree) -> Run:
    return Run(
        attempt=int(told["restartCount"]),
        id=_bare_id(told),
        image=container["image"],
        started_at=parse_time(ended["startedAt"]),
        ended_at=parse_time(ended["finishedAt"]),
        exit_code=int(ended["exitCode"]),
        reason=ended["reason"],
    )


@dataclass(frozen=True)
class SimulatedRuntime:
    """Implements `Runtime`: logs are empty, and there is nothing to talk to."""

    roster: Roster[SimulatedKeeper]

    async def log_files(self, pod: ObjectKey, container: str, *, previous: bool) -> Sequence[Path]:
        worker = self.roster.find(pod)
        if worker is None:
            raise NotFound(f'pods "{pod.name}" not found', kind="pods", name=pod.name)
        if container not in worker.keepers:
            raise BadRequest(f"container {container} is not valid for pod {pod.name}")
        return []

    async def past_log_files(self, pod: ObjectKey, container: str) -> Sequence[Path]:
        return []

    async def running(self, pod: ObjectKey) -> Collection[str]:
        worker = self.roster.find(pod)
        return [name for name, keeper in worker.keepers.items() if keeper.seen.is_running] if worker else []

    async def exec(self, pod: ObjectKey, container: str, command: Sequence[str], *, tty: bool, stdin: bool) -> Streams:
        _refuse(pod)

    async def attach(self, pod: ObjectKey, container: str, *, stdin: bool, tty: bool) -> Streams:
        _refuse(pod)

    async def dial(self, pod: ObjectKey, port: int) -> tuple[int, str]:
        _refuse(pod)

    async def usage(self) -> Sequence[Tree]:
        return ()


def _refuse(pod: ObjectKey) -> NoReturn:
    raise BadRequest(f"pod {pod} is simulated: nothing runs in it (its node's driver is `simulated`)")
