"""Which resources are served: the built-in ones and those of custom resource definitions."""

from collections.abc import Iterable, Iterator, Sequence

from flowdeck.embedded.apiserver.contract import Resource
from flowdeck.kube.objects import Kind


class Registry:
    """All served resources, found by group, version and plural as URLs name them. Changes as CRDs come and go."""

    def __init__(self, builtin: Sequence[Resource]) -> None:
        self._by_path: dict[tuple[str, str, str], Resource] = {}
        self._custom: dict[str, Sequence[Resource]] = {}
        self.generation = 0
        """Grows with each change: caches (discovery, OpenAPI) are made anew when it differs."""
        self._add(builtin)

    def find(self, group: str, version: str, plural: str) -> Resource | None:
        return self._by_path.get((group, version, plural))

    def of_kind(self, kind: Kind) -> Resource | None:
        return self._by_path.get((kind.group, kind.version, kind.plural))

    def find_kind(self, group: str, version: str, kind: str) -> Kind | None:
        """The served kind that an owner reference names."""
        resource = self.by_kind(group, kind, version)
        return resource.kind if resource else None

    def by_kind(self, group: str, kind: str, version: str = "") -> Resource | None:
        """The resource of a kind, as `apiVersion` and `kind` name it; any version when none is given."""
        for resource in self:
            served = resource.kind
            if (served.group, served.kind) == (group, kind) and version in ("", served.version):
                return resource
        return None

    def __iter__(self) -> Iterator[Resource]:
        return iter(list(self._by_path.values()))

    def set_custom(self, crd_name: str, resources: Sequence[Resource]) -> None:
        """Serves what a CRD defines, instead of what it defined before; an empty sequence ends it."""
        for old in self._custom.pop(crd_name, ()):
            self._by_path.pop((old.kind.group, old.kind.version, old.kind.plural), None)
        if resources:
            self._custom[crd_name] = resources
        self._add(resources)

    def _add(self, resources: Iterable[Resource]) -> None:
        for resource in resources:
            kind = resource.kind
            self._by_path[kind.group, kind.version, kind.plural] = resource
        self.generation += 1
