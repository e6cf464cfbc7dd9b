"""The forms in which objects of a resource are sent: as they are, as a Table, as their metadata only.

`resource_handlers.py` asks `Negotiator` for the form of each request.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from flowdeck.clock import Clock
from flowdeck.embedded.apiserver.builtin.printers.printer import Printer
from flowdeck.embedded.apiserver.contract import RequestInfo, Resource
from flowdeck.embedded.apiserver.negotiation import JSON, Form, Shape, metadata_only, negotiate
from flowdeck.embedded.apiserver.table import Tables, builtin_printer, printer_of
from flowdeck.kube.errors import NotAcceptable
from flowdeck.kube.objects import Kind, Tree


@dataclass(frozen=True)
class Whole:
    """Objects as they are."""

    kind: Kind
    content_type: str = JSON

    @property
    def is_plain(self) -> bool:
        """Only JSON is what is stored."""
        return self.content_type == JSON

    def one(self, obj: Tree) -> Tree:
        return obj

    def page(self, objects: Sequence[Tree], metadata: Tree) -> Tree:
        return {
            "kind": f"{self.kind.kind}List",
            "apiVersion": self.kind.api_version,
            "metadata": metadata,
            "items": list(objects),
        }

    def event(self, obj: Tree) -> Tree:
        return obj


@dataclass(frozen=True)
class MetadataOnly:
    """`PartialObjectMetadata` and its list."""

    version: str
    content_type: str
    is_plain: bool = False

    def one(self, obj: Tree) -> Tree:
        return metadata_only(obj, self.version)

    def page(self, objects: Sequence[Tree], metadata: Tree) -> Tree:
        return {
            "kind": "PartialObjectMetadataList",
            "apiVersion": f"meta.k8s.io/{self.version}",
            "metadata": metadata,
            "items": [metadata_only(obj, self.version) for obj in objects],
        }

    def event(self, obj: Tree) -> Tree:
        return metadata_only(obj, self.version)


@dataclass
class Tabular:
    """A `Table`; in a watch the first event alone carries the columns."""

    printer: Printer
    include: str
    tables: Tables
    version: str
    content_type: str
    is_plain: bool = False
    _columns_sent: bool = field(default=False, init=False)

    def one(self, obj: Tree) -> Tree:
        return self._table([obj], _list_metadata(obj))

    def page(self, objects: Sequence[Tree], metadata: Tree) -> Tree:
        return self._table(objects, metadata)

    def event(self, obj: Tree) -> Tree:
        table = self._table([obj], _list_metadata(obj), with_columns=not self._columns_sent)
        self._columns_sent = True
        return table

    def _table(self, objects: Sequence[Tree], metadata: Tree, *, with_columns: bool = True) -> Tree:
        return self.tables.print(
            self.printer,
            objects,
            include=self.include,
            metadata=metadata,
            version=self.version,
            with_columns=with_columns,
        )


def _list_metadata(obj: Tree) -> Tree:
    revision = obj["metadata"].get("resourceVersion")
    return {"resourceVersion": revision} if revision else {}


_COLLECTION_VERBS = ("list", "deletecollection")


@dataclass(frozen=True)
class Negotiator:
    """Finds the form that a request asks for."""

    clock: Clock

    def __call__(self, info: RequestInfo, resource: Resource) -> "Whole | MetadataOnly | Tabular":
        """Raises `NotAcceptable`."""
        asked = negotiate(info.headers.get("accept", ""))
        match asked.shape:
            case "":
                return Whole(resource.kind, asked.media)
            case "Table":
                return self.tabular(info, printer_of(resource), asked)
        _check_shape(asked.shape, is_list=info.verb in _COLLECTION_VERBS)
        return MetadataOnly(asked.version, asked.media)

    def of_kind(self, info: RequestInfo, kind: Kind) -> "Whole | Tabular":
        """The form for an answer of another kind than the resource's: a `Scale`."""
        asked = negotiate(info.headers.get("accept", ""))
        if asked.shape == "Table":
            return self.tabular(info, builtin_printer(kind), asked)
        return Whole(kind, asked.media)

    def tabular(self, info: RequestInfo, printer: Printer, asked: Form) -> Tabular:
        include = info.query.get("includeObject", "")
        return Tabular(printer, include, Tables(self.clock), asked.version, asked.media)


def _check_shape(shape: Shape, *, is_list: bool) -> None:
    if is_list != (shape == "PartialObjectMetadataList"):
        raise NotAcceptable(f"the requested object cannot be represented as {shape}")
