"""What all plug-ins share: being asked only where they have something to say, and the words of a refusal."""

from collections.abc import Iterator, Sequence
from typing import ClassVar

from flowdeck.embedded.apiserver.contract import AdmissionPlugin, AdmissionRequest
from flowdeck.kube.errors import Cause, Forbidden
from flowdeck.kube.objects import Tree


class Plugin(AdmissionPlugin):
    """A plug-in that does nothing; each real one overrides `mutate`, `validate` or both."""

    concerns: ClassVar[Sequence[str]] = ()
    """The resources about which it has anything to say: `pods`, `roles.rbac.authorization.k8s.io`; empty: about all."""

    async def mutate(self, request: AdmissionRequest) -> None:
        return None

    async def validate(self, request: AdmissionRequest) -> None:
        return None

    async def close(self) -> None:
        """Gives back what it holds: connections to webhooks."""
        return


class Plugins:
    """All plug-ins in their order; each is asked only about what concerns it, and only for what it overrides."""

    def __init__(self, plugins: Sequence[Plugin]) -> None:
        self._all = plugins
        self._concerned: dict[str, tuple[Sequence[AdmissionPlugin], Sequence[AdmissionPlugin]]] = {}
        """Resource -> those that mutate, those that validate."""

    def __iter__(self) -> Iterator[AdmissionPlugin]:
        return iter(self._all)

    async def close(self) -> None:
        for plugin in self._all:
            await plugin.close()

    async def mutate(self, request: AdmissionRequest) -> None:
        for plugin in self._of(request)[0]:
            await plugin.mutate(request)

    async def validate(self, request: AdmissionRequest) -> None:
        for plugin in self._of(request)[1]:
            await plugin.validate(request)

    def _of(self, request: AdmissionRequest) -> tuple[Sequence[AdmissionPlugin], Sequence[AdmissionPlugin]]:
        resource = request.resource.kind.resource
        found = self._concerned.get(resource)
        if found is None:
            those = [each for each in self._all if not (only := getattr(each, "concerns", ())) or resource in only]
            found = self._concerned[resource] = (
                [each for each in those if type(each).mutate is not Plugin.mutate],
                [each for each in those if type(each).validate is not Plugin.validate],
            )
        return found


def is_for(request: AdmissionRequest, plural: str, group: str = "") -> bool:
    """Whether the request is about an object (not a subresource) of this resource."""
    kind = request.resource.kind
    return kind.plural == plural and kind.group == group and not request.subresource


def is_new_pod(request: AdmissionRequest) -> bool:
    kind = request.resource.kind
    return kind.plural == "pods" and request.operation == "CREATE" and not request.subresource and not kind.group


def is_pod(request: AdmissionRequest) -> bool:
    """A pod that is created or replaced."""
    kind = request.resource.kind
    return kind.plural == "pods" and not kind.group and not request.subresource and request.obj is not None


def object_of(request: AdmissionRequest) -> Tree:
    """The object that a create or an update brings."""
    assert request.obj is not None, "only deletes come without an object"
    return request.obj


def spec_of(request: AdmissionRequest) -> Tree:
    """Its `spec`, made when it is missing: mutating plug-ins run before validation tells that."""
    obj = object_of(request)
    if obj.get("spec") is None:
        obj["spec"] = {}
    spec: Tree = obj["spec"]
    return spec


def name_of(request: AdmissionRequest) -> str:
    """The object's name, as refusals tell it."""
    meta = (request.obj or {}).get("metadata") or {}
    return request.key.name or meta.get("name") or meta.get("generateName") or "Unknown"


def refusal(request: AdmissionRequest, text: str, causes: Sequence[Cause] = ()) -> Forbidden:
    """`pods "x" is forbidden: <text>`. Source: k8s.io/apiserver (pkg/admission/errors.go)."""
    kind, name = request.resource.kind, name_of(request)
    return Forbidden(
        f'{kind.resource} "{name}" is forbidden: {text}',
        causes=causes,
        group=kind.group,
        kind=kind.plural,
        name=name,
    )


def joined(errors: Sequence[str]) -> str:
    """Several errors in one text, as upstream joins them."""
    once = list(dict.fromkeys(errors))
    return once[0] if len(once) == 1 else "[" + ", ".join(once) + "]"
