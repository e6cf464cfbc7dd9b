"""Leader election on a Lease: of several replicas, one runs the controllers.

Source: k8s.io/client-go (tools/leaderelection); same Lease fields, same default times.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from flowdeck.client.base import Client
from flowdeck.clock import Clock
from flowdeck.kube.errors import ApiError
from flowdeck.kube.kinds import LEASE
from flowdeck.kube.objects import ObjectKey, Tree, copy_of
from flowdeck.kube.times import format_micro_time

log = structlog.get_logger()


@dataclass
class LeaderElection:
    """Holds a Lease while `run` works; gives it up when it cannot be renewed in time."""

    client: Client
    clock: Clock
    lease: ObjectKey
    identity: str
    """Who we are: unique among the replicas."""
    lease_s: int = 15
    renew_s: float = 10.0
    """After that long without a renewal, leading ends."""
    retry_s: float = 2.0
    _seen: tuple[str, float] | None = None
    """Version of somebody else's Lease, and when it was first seen (monotonic: wall clocks are set)."""

    async def run(self, lead: Callable[[], Awaitable[None]]) -> None:
        """Waits to become the leader, then runs `lead`; returns when that ends. Raises `LostLease` when it is lost."""
        while not await self._try():
            await self.clock.sleep(self.retry_s)
        log.info("became the leader", lease=str(self.lease), identity=self.identity)
        work = asyncio.ensure_future(lead())
        renewal = asyncio.ensure_future(self._keep())
        try:
            done, _ = await asyncio.wait((work, renewal), return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in (work, renewal):
                task.cancel()
            await asyncio.gather(work, renewal, return_exceptions=True)
            if renewal.cancelled():  # else the Lease is lost: it is not ours to give back
                await self._release()

    async def _keep(self) -> None:
        renewed = self.clock.monotonic()
        while True:
            await self.clock.sleep(self.retry_s)
            if await self._try_for(self.renew_s - (self.clock.monotonic() - renewed)):
                renewed = self.clock.monotonic()
            elif self.clock.monotonic() - renewed >= self.renew_s:
                raise LostLease(f"lease {self.lease} could not be renewed for {self.renew_s:g} s")

    async def _try_for(self, seconds: float) -> bool:
        """An attempt that must not outlast our lease: a server that answers nothing holds a request for long."""
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                return await self._try()
        except TimeoutError:
            return False

    async def _try(self) -> bool:
        """One attempt to take or renew the Lease; says whether we hold it."""
        try:
            lease = await self.client.find(LEASE, self.lease)
            if lease is None:
                await self.client.create(LEASE, self._held(None))
                return True
            if not self._is_ours_to_take(lease):
                return False
            await self.client.update(LEASE, self._held(lease))
            return True
        except (ApiError, OSError) as error:
            log.debug("lease not written", lease=str(self.lease), error=str(error))
            return False

    def _is_ours_to_take(self, lease: Tree) -> bool:
        spec = lease.get("spec") or {}
        if spec.get("holderIdentity") in (self.identity, "", None):
            return True
        version, now = lease["metadata"]["resourceVersion"], self.clock.monotonic()
        if self._seen is None or self._seen[0] != version:
            self._seen = (version, now)
            return False
        return now - self._seen[1] > (spec.get("leaseDurationSeconds") or self.lease_s)

    def _held(self, lease: Tree | None) -> Tree:
        now = format_micro_time(self.clock.now())
        if lease is None:
            meta = {"namespace": self.lease.namespace, "name": self.lease.name}
            lease = {"apiVersion": LEASE.api_version, "kind": LEASE.kind, "metadata": meta, "spec": {}}
        lease = copy_of(lease)
        spec = lease.setdefault("spec", {})
        if spec.get("holderIdentity") != self.identity:
            spec["acquireTime"] = now
            spec["leaseTransitions"] = (spec.get("leaseTransitions") or 0) + (1 if "holderIdentity" in spec else 0)
        spec |= {"holderIdentity": self.identity, "leaseDurationSeconds": self.lease_s, "renewTime": now}
        return lease

    async def _release(self) -> None:
        """Lets others lead at once; where that cannot be written, the Lease runs out."""
        try:
            lease = await self.client.find(LEASE, self.lease)
            if lease is not None and lease.get("spec", {}).get("holderIdentity") == self.identity:
                freed = copy_of(lease)
                freed["spec"]["holderIdentity"] = ""
                await self.client.update(LEASE, freed)
        except (ApiError, OSError) as error:
            log.warning("lease not given back", lease=str(self.lease), error=str(error))


class LostLease(Exception):
    """Leading ended because the Lease could not be renewed; `lead` was ended, and one may stand for election again."""
