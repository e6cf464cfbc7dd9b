"""Puts an installation on a cluster by server-side apply, says what it waits for, and takes it away again."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import orjson

from flowdeck.client.base import Client
from flowdeck.clock import Clock
from flowdeck.cluster import names
from flowdeck.cluster.manifests.render import Manifests, kind_of
from flowdeck.cluster.names import INSTALLER, KEY, NAMESPACE, is_ours
from flowdeck.cluster.settings import ClusterSettings
from flowdeck.cluster.settings_text import read_settings
from flowdeck.kube import kinds
from flowdeck.kube.conditions import find_condition, is_true
from flowdeck.kube.errors import NotFound, Timeout
from flowdeck.kube.kinds import POD
from flowdeck.kube.objects import Kind, ObjectKey, Tree, get_in, key_of, labels_of

JOB_SETS = ObjectKey("", "jobsets.jobset.x-k8s.io")
UPSTREAM = ObjectKey(NAMESPACE, "kubeflow-trainer-controller-manager")
"""The Deployment of upstream's Trainer."""
KEPT_IN = (
    kinds.DEPLOYMENT,
    kinds.STATEFUL_SET,
    kinds.SERVICE,
    kinds.SECRET,
    kinds.CONFIG_MAP,
    kinds.PERSISTENT_VOLUME_CLAIM,
    kinds.POD,
)
"""What somebody would miss if its namespace went."""
OLDEST = (1, 34)
"""The Kubernetes that we are made for."""
LOOK_S = 0.5
ESTABLISHED_S = 60.0
"""How long a definition may take until its kind is served."""
REPLACED = (kinds.SERVICE, kinds.MUTATING_WEBHOOK_CONFIGURATION, kinds.VALIDATING_WEBHOOK_CONFIGURATION)
"""Where somebody else's (upstream's) is in the place of ours, it goes: applied over it, ours would select its pods as
well as our own, and keep its webhooks, behind which nobody is."""

What = Literal["created", "changed", "unchanged", "deleted", "kept"]


@dataclass(frozen=True)
class Change:
    """What became of one object."""

    kind: Kind
    key: ObjectKey
    what: What

    def __str__(self) -> str:
        return f"{self.kind.resource}/{self.key.name} {self.what}"


@dataclass(frozen=True)
class Found:
    """What is on a cluster before anything is done."""

    kubernetes: tuple[int, int]
    version: str
    """Of the Flowdeck that is installed; `""`: none."""
    settings: ClusterSettings | None
    """Of that one."""
    has_own_job_sets: bool
    """Whether JobSet's definition is there and not ours: its controller is used."""
    has_upstream_trainer: bool
    """Whether upstream's Trainer runs: two controllers would work on the same TrainJobs."""
    has_embedded_trainer: bool = False
    """Whether it is an embedded platform that runs training itself."""


async def look(client: Client) -> Found:
    """Raises `SettingsError` when the installed settings cannot be read."""
    version = orjson.loads(await client.raw("GET", "/version"))
    config = await client.find(kinds.CONFIG_MAP, KEY)
    deployment = await client.find(kinds.DEPLOYMENT, KEY)
    job_sets = await client.find(kinds.CUSTOM_RESOURCE_DEFINITION, JOB_SETS)
    upstream = await client.find(kinds.DEPLOYMENT, UPSTREAM)
    return Found(
        kubernetes=(int(version["major"]), int(version["minor"].rstrip("+"))),
        version=get_in(deployment, "metadata", "labels", names.VERSION_LABEL, default=""),
        settings=None if config is None else read_settings(config["data"][names.SETTINGS_FILE]),
        has_own_job_sets=job_sets is not None and not is_ours(job_sets),
        has_upstream_trainer=bool(get_in(upstream, "spec", "replicas")),
        has_embedded_trainer=version["gitVersion"].endswith("+flowdeck") and await _shows_trainers_metrics(client),
    )


async def _shows_trainers_metrics(client: Client) -> bool:
    """Its objects would tell nothing: they stay in the store when a platform is started without the component."""
    try:
        return b"kubeflow_trainer_trainjobs" in await client.raw("GET", "/metrics")
    except NotFound:
        return False


def fitted(settings: ClusterSettings, found: Found) -> ClusterSettings:
    """The settings for this cluster: JobSet's own controller is left its work."""
    if not found.has_own_job_sets:
        return settings
    return replace(settings, disabled=settings.disabled | {"jobset"})


@dataclass(frozen=True)
class Installer:
    """Applies manifests to a cluster."""

    client: Client
    clock: Clock
    manifests: Manifests

    async def apply(self) -> AsyncIterator[Change]:
        """Makes everything as the manifests say; definitions are waited for before objects of theirs are applied.

        Raises `Timeout` where a definition's kind is never served: another one has its names.
        """
        definitions = self.manifests.definitions()
        for crd in definitions:
            yield await self._apply(kinds.CUSTOM_RESOURCE_DEFINITION, crd)
        for crd in definitions:
            await self._wait_established(key_of(crd))
        for obj in self.manifests.others():
            yield await self._apply(kind_of(obj, definitions), obj)

    async def prune(self) -> AsyncIterator[Change]:
        """Deletes what an earlier version or other settings have brought and these manifests do not; no definition, and
        no namespace in which somebody keeps something.
        """
        everything = self.manifests.all()
        wanted = {(obj["kind"], key_of(obj)) for obj in everything}
        for kind in _kinds_of(everything):
            for obj in await ours(self.client, kind):
                if kind == kinds.CUSTOM_RESOURCE_DEFINITION or (kind.kind, key_of(obj)) in wanted:
                    continue
                if kind == kinds.NAMESPACE and not await _is_empty(self.client, key_of(obj).name):
                    yield Change(kind, key_of(obj), "kept")
                    continue
                await self.client.delete(kind, key_of(obj), propagation="Background", missing_ok=True)
                yield Change(kind, key_of(obj), "deleted")

    async def _apply(self, kind: Kind, obj: Tree) -> Change:
        key = key_of(obj)
        before = await self.client.find(kind, key)
        is_foreign = before is not None and not is_ours(before)
        if kind == kinds.NAMESPACE and is_foreign:
            return Change(kind, key, "kept")  # it was there first, and stays when we go
        if kind in REPLACED and is_foreign:
            await self.client.delete(kind, key, missing_ok=True)
        after = await self.client.apply(kind, obj, manager=INSTALLER, force=True)
        if before is None:
            return Change(kind, key, "created")
        same = before["metadata"]["resourceVersion"] == after["metadata"]["resourceVersion"]
        return Change(kind, key, "unchanged" if same else "changed")

    async def _wait_established(self, key: ObjectKey) -> None:
        end = self.clock.monotonic() + ESTABLISHED_S
        while not is_true(crd := await self.client.get(kinds.CUSTOM_RESOURCE_DEFINITION, key), "Established"):
            if self.clock.monotonic() > end:
                accepted = find_condition(crd, "NamesAccepted") or {}
                why = accepted.get("message") or "its API server says nothing of it"
                raise Timeout(f"the kind of {key.name} is not served after {ESTABLISHED_S:g} s: {why}")
            await self.clock.sleep(LOOK_S)

    async def waits(self) -> Sequence[str]:
        """What is not ready and why, in words; nothing: all is."""
        deployment = await self.client.get(kinds.DEPLOYMENT, KEY)
        wanted, status = deployment["spec"]["replicas"], deployment.get("status") or {}
        counts = [status.get(name, 0) for name in ("replicas", "updatedReplicas", "availableReplicas")]
        is_seen = status.get("observedGeneration", 0) >= deployment["metadata"]["generation"]
        if not is_seen or counts != [wanted] * 3:
            return [f"deployment/{KEY.name}: {counts[2]} of {wanted} replicas are ready", *await self._troubles()]
        untrusted = [name for kind, name in self._configurations() if not await self._is_trusted(kind, name)]
        return [f"{name}: the leader has not written its caBundle yet" for name in untrusted]

    def _configurations(self) -> list[tuple[Kind, str]]:
        found = (kinds.MUTATING_WEBHOOK_CONFIGURATION, kinds.VALIDATING_WEBHOOK_CONFIGURATION)
        return [
            (kind, obj["metadata"]["name"])
            for obj in self.manifests.others()
            for kind in found
            if obj["kind"] == kind.kind
        ]

    async def _is_trusted(self, kind: Kind, name: str) -> bool:
        found = await self.client.get(kind, ObjectKey("", name))
        return all(hook["clientConfig"].get("caBundle") for hook in found["webhooks"])

    async def _troubles(self) -> list[str]:
        labels = ",".join(f"{key}={value}" for key, value in names.PODS.items())
        pods = (await self.client.list(POD, namespace=NAMESPACE, labels=labels)).items
        events = (await self.client.list(kinds.EVENT, namespace=NAMESPACE, fields="type=Warning")).items
        return list(dict.fromkeys([*(line for pod in pods for line in pod_troubles(pod)), *event_troubles(events)]))


def pod_troubles(pod: Tree) -> list[str]:
    """Why a pod is not ready."""
    name, told = pod["metadata"]["name"], []
    for condition in get_in(pod, "status", "conditions", default=[]):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            told.append(f"pod/{name}: {condition.get('reason', '')}: {condition.get('message', '')}")
    for container in get_in(pod, "status", "containerStatuses", default=[]):
        waiting = get_in(container, "state", "waiting")
        if waiting:
            told.append(f"pod/{name}: {waiting.get('reason', 'waiting')}: {waiting.get('message', '')}".rstrip(": "))
        ended = get_in(container, "lastState", "terminated") or get_in(container, "state", "terminated")
        if ended:
            why = ended.get("message") or ended.get("reason", "")
            told.append(f"pod/{name}: its last run ended with exit code {ended.get('exitCode')}: {why.strip()}")
    return told


def event_troubles(events: Sequence[Tree]) -> list[str]:
    """What the newest warnings say that pods do not say of themselves: quotas, volumes, probes."""
    about = [
        event
        for event in events
        if event["involvedObject"].get("name", "").startswith(KEY.name)
        and (event["involvedObject"]["kind"] != POD.kind or event["reason"] == "FailedMount")
    ]
    newest = sorted(about, key=lambda event: event.get("lastTimestamp") or "")[-3:]
    return [
        f"{event['involvedObject']['kind'].lower()}/{event['involvedObject']['name']}: {event['reason']}: "
        f"{event.get('message', '')}"
        for event in newest
    ]


# ---- going away -----------------------------------------------------------------------------------------------------


async def ours(client: Client, kind: Kind) -> Sequence[Tree]:
    """The objects of a kind that an installation has brought; none where the kind is not served."""
    try:
        return (await client.list(kind, labels=f"{names.MANAGED_BY}={names.OURS[names.MANAGED_BY]}")).items
    except NotFound:
        return ()


async def remove(client: Client, manifests: Manifests, *, definitions: bool) -> AsyncIterator[Change]:
    """Deletes what an installation of any version has brought; webhooks first, so that nothing is refused."""
    everything = manifests.all()
    found = _kinds_of(everything)
    first = [kind for kind in found if kind.kind.endswith("WebhookConfiguration")]
    last = [kinds.CUSTOM_RESOURCE_DEFINITION, kinds.NAMESPACE]
    for kind in [*first, *(kind for kind in reversed(found) if kind not in (*first, *last)), kinds.SECRET]:
        for obj in await ours(client, kind):
            yield await _delete(client, kind, key_of(obj))
    if await client.find(kinds.LEASE, names.LEASE):
        yield await _delete(client, kinds.LEASE, names.LEASE)
    for crd in await ours(client, kinds.CUSTOM_RESOURCE_DEFINITION):
        if definitions:
            yield await _delete(client, kinds.CUSTOM_RESOURCE_DEFINITION, key_of(crd))
        else:
            yield Change(kinds.CUSTOM_RESOURCE_DEFINITION, key_of(crd), "kept")
    for obj in await ours(client, kinds.NAMESPACE):
        if await _is_empty(client, key_of(obj).name):
            yield await _delete(client, kinds.NAMESPACE, key_of(obj))
        else:
            yield Change(kinds.NAMESPACE, key_of(obj), "kept")


async def _delete(client: Client, kind: Kind, key: ObjectKey) -> Change:
    await client.delete(kind, key, propagation="Background", missing_ok=True)
    return Change(kind, key, "deleted")


async def _is_empty(client: Client, namespace: str) -> bool:
    """Whether nobody else keeps anything in it, objects of our definitions included."""
    custom = [_kind_served(crd) for crd in await ours(client, kinds.CUSTOM_RESOURCE_DEFINITION)]
    for kind in (*KEPT_IN, *(kind for kind in custom if kind.namespaced)):
        try:
            found = (await client.list(kind, namespace=namespace)).items
        except NotFound:  # its definition has just gone
            continue
        if any(not _is_of_ours(obj) for obj in found):
            return False
    return True


def _is_of_ours(obj: Tree) -> bool:
    """Whether it goes when we go: ours, a pod of ours, or what every namespace has."""
    is_pod_of_ours = names.PODS.items() <= labels_of(obj).items()
    return is_ours(obj) or is_pod_of_ours or obj["metadata"]["name"] == "kube-root-ca.crt"


def _kind_served(crd: Tree) -> Kind:
    """The kind that a definition brings."""
    version = crd["spec"]["versions"][0]["name"]
    return kind_of({"apiVersion": f"{crd['spec']['group']}/{version}", **_kind(crd)}, [crd])


async def users_objects(client: Client, definitions: Sequence[Tree]) -> dict[str, int]:
    """How many objects hang on the definitions that are ours, by resource, without those that we have brought."""
    counts = {}
    for crd in definitions:
        held = await client.find(kinds.CUSTOM_RESOURCE_DEFINITION, key_of(crd))
        if held is None or not is_ours(held):
            continue
        kind = _kind_served(crd)
        counts[kind.resource] = sum(not is_ours(obj) for obj in (await client.list(kind)).items)
    return {resource: count for resource, count in counts.items() if count}


def _kind(crd: Tree) -> Tree:
    return {"kind": crd["spec"]["names"]["kind"]}


def _kinds_of(objects: Sequence[Tree]) -> list[Kind]:
    """The kinds of an installation's objects, in the order in which they are applied."""
    definitions = [obj for obj in objects if obj["kind"] == kinds.CUSTOM_RESOURCE_DEFINITION.kind]
    return list(dict.fromkeys(kind_of(obj, definitions) for obj in objects))
