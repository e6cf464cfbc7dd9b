"""Admission of a component's kinds: a rule, and what it found. Who serves the rules is not its business.

Embedded, the API server calls them in its own process; on a cluster they are webhooks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from flowdeck.client.base import Reader
from flowdeck.clock import Clock
from flowdeck.kube.objects import Kind, Tree


@dataclass(frozen=True, kw_only=True)
class Review:
    """What admission found: the object as it shall be stored, what is wrong with it, what to warn of."""

    obj: Tree
    errors: Sequence[str] = ()
    """Field errors as text; not empty means the request is denied."""
    warnings: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class AdmissionRule:
    """A webhook, served in the process when embedded and over HTTPS on a cluster.

    A denied request answers 403 `admission webhook "<name>" denied the request: <errors>`.
    """

    name: str
    """The webhook's name, as upstream's configuration object has it."""
    configuration: str
    """Name of the configuration object that holds it on a cluster, as upstream's is called."""
    path: str
    """Where it is served on a cluster: `/validate-trainer-kubeflow-org-v1alpha1-trainjob`."""
    kind: Kind
    phase: Literal["mutate", "validate"]
    operations: Sequence[Literal["CREATE", "UPDATE", "DELETE"]] = ("CREATE", "UPDATE")
    exempt: tuple[str, str] | None = None
    """A label, key and value: objects that have it (and had it before) are not reviewed."""
    review: "Reviewer"


class Reviewer(Protocol):
    """Decides about one request. `obj` may be changed by a mutating rule (it is the reviewer's own copy)."""

    async def __call__(self, obj: Tree, old: Tree | None, *, reader: Reader, clock: Clock) -> Review: ...
