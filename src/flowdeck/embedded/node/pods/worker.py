"""Runs one pod: looks, decides, acts, reports. One per pod, for as long as the pod is this node's.

Everything that takes time runs in tasks of its own and wakes the loop when something changed.
"""

import asyncio
import contextlib
from datetime import datetime, timedelta
from typing import Generic, Literal

import structlog

from flowdeck.embedded.node.pods import decide as steps
from flowdeck.embedded.node.pods.acting import Acting, K
from flowdeck.embedded.node.pods.decide import Action, Forget, SetUp, Start, Stop, TearDown, decide
from flowdeck.embedded.node.pods.means import Basics
from flowdeck.embedded.node.pods.seen import Busy, PodSeen
from flowdeck.embedded.node.pods.spec import all_containers
from flowdeck.embedded.node.pods.status import status_of
from flowdeck.embedded.node.sandbox.client import StartError
from flowdeck.embedded.node.volumes.payload import VolumeError
from flowdeck.kube.errors import ApiError, Conflict, NotFound
from flowdeck.kube.kinds import POD
from flowdeck.kube.objects import Tree, get_in, key_of, uid_of
from flowdeck.kube.times import parse_time

SET_UP_RETRY_S = (0.5, 120.0)
REPORT_RETRY_S = (0.2, 10.0)
HOLD_S = 0.1
"""How long status and events wait while the pod is being set up or a container started: what comes next is told with
them, and the start goes before the telling."""
REFRESH_S = 60.0
"""How often volumes are compared with the objects that they come from."""
SIZE_CHECK_S = 10.0
"""How often emptyDir volumes with a limit are measured."""

log = structlog.get_logger()


class PodWorker(Generic[K]):
    """One pod of this node."""

    def __init__(self, pod: Tree, means: Basics, acting: Acting[K]) -> None:
        self.pod = pod
        self.uid = uid_of(pod)
        self.key = key_of(pod)
        self.keepers: dict[str, K] = {}
        self.recalled = asyncio.Event()
        """Set once it is known what an earlier process of this node did for the pod."""
        self._means = means
        self._wake = asyncio.Event()
        self._dirty = asyncio.Event()
        self._calm = asyncio.Event()
        """Set while nothing is being set up or started."""
        self._calm.set()
        self._events: asyncio.Queue[tuple[Literal["Normal", "Warning"], str, str]] = asyncio.Queue()
        self._acted = acting.begin(pod)
        self._place = self._acted.place
        self._is_set_up = self._is_being_set_up = False
        self._is_torn_down = self._is_being_torn_down = False
        self._is_gone = self._is_deleted = self._is_forgetting = self._is_forgotten = False
        self._set_up_failures = 0
        self._retry_set_up_at: datetime | None = None
        self._ended: tuple[str, str] | None = None
        self._refusal = acting.refusal(pod)
        self._started_at = self._first_seen()
        self._sent: Tree | None = None
        self._was_settled = get_in(pod, "status", "phase") in steps.SETTLED
        """It was finished before this process began: its status is not ours to write again."""

    def _first_seen(self) -> datetime:
        told = get_in(self.pod, "status", "startTime")
        return parse_time(told) if told else self._means.clock.now()

    # ---- from outside ---------------------------------------------------------------------------------------------

    def update(self, pod: Tree) -> None:
        """The object changed."""
        self.pod = self._place.pod = pod
        for keeper in self.keepers.values():
            keeper.pod = pod
        self._changed()

    def is_gone(self) -> None:
        """The object is no more, or it is another one's by now."""
        self._is_gone = True
        self._changed()

    def seen(self) -> PodSeen:
        return PodSeen(
            containers={name: keeper.seen for name, keeper in self.keepers.items()},
            is_set_up=self._is_set_up,
            is_being_set_up=self._is_being_set_up,
            is_torn_down=self._is_torn_down,
            is_being_torn_down=self._is_being_torn_down,
            is_gone=self._is_gone,
            retry_set_up_at=self._retry_set_up_at,
            refusal=self._refusal,
            ip=self._place.ip,
            host_ip=self._means.settings.host_ip,
            started_at=self._started_at,
            ended=self._ended,
        )

    def _changed(self) -> None:
        starting = any(keeper.seen.busy is Busy.STARTING for keeper in self.keepers.values())
        if self._is_being_set_up or starting:
            self._calm.clear()
        else:
            self._calm.set()
        self._wake.set()
        self._dirty.set()

    def _tell(self, type_: Literal["Normal", "Warning"], reason: str, message: str) -> None:
        self._events.put_nowait((type_, reason, message))

    # ---- the loop -------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until the object is gone and nothing of the pod is left here. Cancelled, it leaves the containers alone."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            await self._recall()
            self.recalled.set()
            if self._refusal:
                self._changed()
            helpers = [
                tasks.create_task(self._report_always(), name=f"report {self.key}"),
                tasks.create_task(self._record_events(), name=f"events {self.key}"),
                tasks.create_task(self._keep_volumes(), name=f"volumes {self.key}"),
            ]
            while not self._is_forgotten:
                await self._turn()
            for helper in helpers:
                helper.cancel()

    async def _recall(self) -> None:
        for container in all_containers(self.pod):
            await self._keeper(container["name"]).recall()
        self._is_torn_down = self._place.was_torn_down()
        self._ended = self._place.end_noted()

    def _keeper(self, name: str) -> K:
        """The container's keeper; a new one for one that is new in the pod."""
        if name not in self.keepers:
            container = next(each for each in all_containers(self.pod) if each["name"] == name)
            self.keepers[name] = self._acted.keeper(container, self._tell, self._changed, self._tasks)
            self._place.save()
        return self.keepers[name]

    async def _turn(self) -> None:
        self._wake.clear()
        now = self._means.clock.now()
        step = decide(self.pod, self.seen(), now, self._means.back_off)
        if step.ended and step.ended != self._ended:
            self._end(*step.ended)
        for action in step.actions:
            self._act(action)
        if step.look_again_at is None:
            await self._wake.wait()
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.001, (step.look_again_at - now).total_seconds())):
                await self._wake.wait()
        self._dirty.set()

    def _end(self, reason: str, message: str) -> None:
        self._ended = (reason, message)
        self._place.note_end(reason, message)
        self._tell("Normal" if reason == "DeadlineExceeded" else "Warning", reason, message)
        self._changed()

    def _act(self, action: Action) -> None:
        match action:
            case SetUp():
                self._is_being_set_up = True
                self._calm.clear()
                self._tasks.create_task(self._set_up(), name=f"set up {self.key}")
            case Start():
                self._keeper(action.container).start(action.attempt, action.back_off_s)
            case Stop():
                self.keepers[action.container].stop(action.grace_s, action.message)
            case TearDown():
                self._is_being_torn_down = True
                self._tasks.create_task(self._tear_down(), name=f"tear down {self.key}")
            case Forget():
                if not self._is_forgetting and not (self._is_deleted and not self._is_gone):
                    self._is_forgetting = True
                    self._tasks.create_task(self._forget(), name=f"forget {self.key}")

    async def _set_up(self) -> None:
        try:
            await self._place.set_up()
            self._is_set_up = True
            self._retry_set_up_at = None
        except (VolumeError, StartError, ApiError, OSError) as error:
            reason = "FailedMount" if isinstance(error, VolumeError | ApiError) else "FailedCreatePodSandBox"
            text = str(error) if reason == "FailedMount" else f"Failed to create pod sandbox: {error}"
            self._tell("Warning", reason, text)
            pause = min(SET_UP_RETRY_S[1], SET_UP_RETRY_S[0] * 2.0**self._set_up_failures)
            self._set_up_failures += 1
            self._retry_set_up_at = self._later(pause)
        finally:
            self._is_being_set_up = False
            self._changed()

    def _later(self, seconds: float) -> datetime:
        return self._means.clock.now() + timedelta(seconds=seconds)

    async def _tear_down(self) -> None:
        try:
            await self._place.tear_down()
            self._is_torn_down = True
        except OSError as error:
            log.warning("pod could not be torn down, trying again", pod=str(self.key), error=str(error))
            await self._means.clock.sleep(SET_UP_RETRY_S[0])
        finally:
            self._is_being_torn_down = False
            self._changed()

    async def _forget(self) -> None:
        """The last status, then the object, then what is left on disk."""
        try:
            if not self._is_deleted and not self._is_gone:
                await self._report()
                await self._means.client.delete(POD, self.key, uid=self.uid, grace_period_s=0, missing_ok=True)
            self._is_deleted = True
            if self._is_gone:
                await asyncio.to_thread(self._place.forget)
                self._is_forgotten = True
        except (NotFound, Conflict):
            self._is_gone = True
        except (ApiError, OSError) as error:
            log.warning("pod could not be deleted, trying again", pod=str(self.key), error=str(error))
            await self._means.clock.sleep(REPORT_RETRY_S[1] / 10)
        finally:
            self._is_forgetting = False
            self._wake.set()

    # ---- beside the loop ------------------------------------------------------------------------------------------

    async def _report_always(self) -> None:
        """Writes the status whenever it changed, again and again until the server takes it."""
        pause = REPORT_RETRY_S[0]
        while True:
            await self._dirty.wait()
            await self._hold_back()
            self._dirty.clear()
            try:
                await self._report()
                pause = REPORT_RETRY_S[0]
            except (NotFound, Conflict):
                continue  # the object is gone or another one's; the watch will say so
            except (ApiError, OSError) as error:
                log.debug("status was not written, trying again", pod=str(self.key), error=str(error))
                await self._means.clock.sleep(pause)
                pause = min(REPORT_RETRY_S[1], pause * 2)
                self._dirty.set()

    async def _hold_back(self) -> None:
        """Returns when nothing is being started, or has been for a while."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(HOLD_S):
                while True:
                    await self._calm.wait()
                    await asyncio.sleep(0)  # the loop decides first what comes next
                    if self._calm.is_set():
                        return

    async def _report(self) -> None:
        if self._is_gone or self._is_deleted or self._was_settled:
            return
        status = status_of(self.pod, self.seen(), self._means.clock.now(), self._means.back_off)
        if status == self._sent or _is_told(status, self.pod.get("status") or {}):
            return
        await self._means.client.patch_status(POD, self.key, {"metadata": {"uid": self.uid}, "status": status})
        self._sent = status

    async def _record_events(self) -> None:
        while True:
            type_, reason, message = await self._events.get()
            await self._hold_back()
            await self._means.events.event(self.pod, type=type_, reason=reason, message=message)

    async def _keep_volumes(self) -> None:
        """Keeps volumes up to date that come from objects, and measures those with a limit."""
        measured = any(get_in(v, "emptyDir", "sizeLimit") for v in self.pod["spec"].get("volumes") or ())
        if not measured and not self._place.needs_refresh:
            return
        since_refresh = 0.0
        while not self._is_torn_down:
            pause = SIZE_CHECK_S if measured else REFRESH_S
            await self._means.clock.sleep(pause)
            since_refresh += pause
            if not self._is_set_up or self._is_being_torn_down or self._is_torn_down:
                continue
            if measured and (text := await asyncio.to_thread(self._place.overfull)) and not self._ended:
                self._end("Evicted", text)
            if since_refresh >= REFRESH_S and self._place.needs_refresh:
                since_refresh = 0.0
                with contextlib.suppress(VolumeError, ApiError, OSError):
                    await self._place.refresh()


def _is_told(status: Tree, told: Tree) -> bool:
    """True when the API object says all of that already."""
    return all(told.get(name) == value for name, value in status.items())
