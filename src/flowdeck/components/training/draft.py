"""A TrainJob's children while they are being put together: what plug-ins read and change."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from flowdeck.components.training.runtime_types import Runtime
from flowdeck.components.training.types import ANCESTOR_LABEL, NODE, Step, Trainer, TrainJob
from flowdeck.kube.errors import FieldError
from flowdeck.kube.objects import Kind, ObjectKey, Tree, get_in


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """One object that a TrainJob needs."""

    kind: Kind
    key: ObjectKey
    make: Callable[[], Tree]
    """The object, without its owner; called only when it is written."""
    while_suspended: bool = False
    """Where it exists, change it only while the job is suspended (what a scheduler has acted on)."""


@dataclass
class Draft:
    """The merged view of a runtime and a TrainJob; the trees in it are the draft's own."""

    job: TrainJob
    runtime: Runtime
    template: Tree
    """`{metadata, spec}` of the JobSet to be."""
    counts: dict[str, int] = field(default_factory=dict)
    """Pods of each replicated job."""
    objects: list[Wanted] = field(default_factory=list)
    """What else is needed beside the JobSet."""

    @property
    def name(self) -> str:
        return self.job.metadata.name

    @property
    def namespace(self) -> str:
        return self.job.metadata.namespace

    @property
    def trainer(self) -> Trainer:
        """The TrainJob's trainer block; an empty one when it has none."""
        return self.job.spec.trainer or Trainer()

    @property
    def jobs(self) -> list[Tree]:
        """The replicated jobs, in the runtime's order."""
        return self.template["spec"].get("replicatedJobs") or []

    def find(self, name: str) -> Tree | None:
        """The replicated job of that name."""
        return next((job for job in self.jobs if job["name"] == name), None)

    def ancestor(self, step: Step) -> Tree | None:
        """The replicated job that a block of the TrainJob feeds."""
        return next((job for job in self.jobs if ancestor_of(job) == step), None)

    @property
    def node_container(self) -> Tree | None:
        """The container that trains, in the job that the trainer block feeds."""
        job = self.ancestor(Step.TRAINER)
        return container_of(job, NODE) if job else None

    @property
    def num_nodes(self) -> int:
        """Nodes that were asked for: the TrainJob's, else the runtime's, else 1."""
        asked = self.trainer.num_nodes
        if asked is None and self.runtime.spec.ml_policy:
            asked = self.runtime.spec.ml_policy.num_nodes
        return 1 if asked is None else asked

    @property
    def first_node(self) -> str:
        """The DNS name of node 0, as every framework is told it."""
        return f"{self.name}-{NODE}-0-0.{self.name}"

    def endpoints(self, job: Tree) -> Iterator[str]:
        """The DNS names of a replicated job's pods."""
        subdomain = get_in(self.template, "spec", "network", "subdomain") or self.name
        for index in range(self.counts[job["name"]]):
            yield f"{self.name}-{job['name']}-0-{index}.{subdomain}"


class Plugin(Protocol):
    """Something that shapes a TrainJob's children: a framework, a gang scheduler, the progress server.

    Plug-ins are stateless and pure: all that they know comes from the draft and their own settings.
    """

    def applies(self, draft: Draft) -> bool:
        """Whether this TrainJob uses it."""
        ...

    def check(self, draft: Draft) -> Sequence[FieldError]:
        """What a user got wrong; asked at admission, before `shape`."""
        ...

    def shape(self, draft: Draft) -> None:
        """Changes the draft. Called after the TrainJob's own blocks are merged in."""
        ...


def pod_spec_of(job: Tree) -> Tree:
    """The pod spec of a replicated job of a draft, to be changed; attached where the runtime leaves it out."""
    spec: Tree = job.setdefault("template", {}).setdefault("spec", {})
    pod_spec: Tree = spec.setdefault("template", {}).setdefault("spec", {})
    return pod_spec


def containers_of(job: Tree) -> list[Tree]:
    containers: list[Tree] = get_in(job, "template", "spec", "template", "spec", "containers", default=[])
    return containers


def container_of(job: Tree, name: str) -> Tree | None:
    return find_named(containers_of(job), name)


def find_named(items: Iterable[Tree] | None, name: str) -> Tree | None:
    return next((item for item in items or () if item.get("name") == name), None)


def ancestor_of(job: Tree) -> str:
    """The value of a replicated job's ancestor label, or `""`."""
    return str(get_in(job, "template", "metadata", "labels", ANCESTOR_LABEL, default=""))
