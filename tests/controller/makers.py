"""Controllers and objects for tests of the machinery itself."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from flowdeck.controller.contract import DONE, Feeds, Maps, Result
from flowdeck.kube.kinds import CONFIG_MAP
from flowdeck.kube.objects import Kind, ObjectKey, Tree

A, B = ObjectKey("default", "a"), ObjectKey("default", "b")


def a_config_map(name: str = "a", *, labels: dict[str, str] | None = None, **data: str) -> Tree:
    metadata = {"namespace": "default", "name": name, "labels": labels or {"app": name}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def a_pod(name: str = "p") -> Tree:
    metadata, spec = {"namespace": "default", "name": name}, {"containers": [{"name": "c", "image": "i"}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


async def nothing(key: ObjectKey) -> Result:
    return DONE


@dataclass
class Diary:
    """A controller that notes which keys it was asked to look at, and then does what the test says."""

    act: Callable[[ObjectKey], Awaitable[Result]] = nothing
    name: str = "diary"
    kind: Kind | None = CONFIG_MAP
    watches: Sequence[Maps | Feeds] = ()
    seen: list[ObjectKey] = field(default_factory=list)

    async def reconcile(self, key: ObjectKey) -> Result:
        self.seen.append(key)
        return await self.act(key)
