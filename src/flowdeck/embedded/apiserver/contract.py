"""What the parts of the API server promise each other.

    ../../http1        HTTP: TLS, connections          -> pipeline.py
    pipeline.py        one request: who (Authenticator), what (RequestInfo), may they (Authorizer), then a handler
    verbs.py           get list watch create update patch delete, on a Resource of the registry
    registry.py        which Resources are served: the built-in ones and those of CRDs
    admission/         AdmissionPlugins, in order
    builtin/           a Strategy for each built-in kind

A request's object goes through: decode -> unknown fields -> Strategy.default -> mutating admission ->
Strategy.prepare_* -> Strategy.validate* -> validating admission -> store.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeVar

from flowdeck.kube.errors import ApiError, FieldError
from flowdeck.kube.objects import Kind, ObjectKey, Tree
from flowdeck.kube.schema import Schema

T = TypeVar("T")


@dataclass(frozen=True)
class User:
    """Who asks."""

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


SYSTEM = User("system:apiserver", groups=("system:masters", "system:authenticated"))
"""The platform's own controllers, through the direct client."""

ANONYMOUS = User("system:anonymous", groups=("system:unauthenticated",))


@dataclass(frozen=True)
class Attributes:
    """What an authorizer is asked: may `user` do `verb` there?"""

    user: User
    verb: str
    """`get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`, `impersonate`, ...; for
    non-resource paths the lower-case HTTP method."""
    group: str = ""
    version: str = ""
    resource: str = ""
    """The plural; `""` for a non-resource path."""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""
    """The URL path, for non-resource requests."""


@dataclass(frozen=True)
class Decision:
    allowed: bool
    reason: str = ""
    """Why: `RBAC: allowed by ClusterRoleBinding "x" of ClusterRole "y" to User "z"`."""


class Authenticator(Protocol):
    """Finds out who sent a request."""

    async def authenticate(self, headers: Mapping[str, str], peer_certificate: bytes | None) -> User | None:
        """The user; None when the request carries no credentials of this sort. Header names are lower-case,
        the certificate is DER and was verified against our CA by TLS. Raises `Unauthorized` on bad credentials."""
        ...


class Authorizer(Protocol):
    def authorize(self, attributes: Attributes) -> Decision:
        """Decides from what is in memory; must be fast."""
        ...


Operation = Literal["CREATE", "UPDATE", "DELETE", "CONNECT"]


@dataclass
class AdmissionRequest:
    """One write on its way into the store; mutating plug-ins change `obj` in place or replace it.

    A context, for as long as the write takes: whatever becomes of it, what plug-ins reserved is given back.
    """

    user: User
    operation: Operation
    resource: "Resource"
    subresource: str
    key: ObjectKey
    """The name may be empty on create with generateName until it is generated (before admission, as upstream)."""
    obj: Tree | None
    """None for DELETE."""
    old: Tree | None
    dry_run: bool = False
    options: Tree = field(default_factory=dict)
    """CreateOptions, UpdateOptions, PatchOptions or DeleteOptions."""
    warnings: list[str] = field(default_factory=list)
    """Sent as HTTP `Warning: 299` headers."""
    cleanups: list[Callable[[], None]] = field(default_factory=list)
    """Called in any case when the request is over, stored or refused: gives back what plug-ins reserved for it."""

    def __enter__(self) -> "AdmissionRequest":
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ApiError):
            error.warnings = self.warnings
        for clean_up in self.cleanups:
            clean_up()


class AdmissionPlugin(Protocol):
    """One admission plug-in; raises the `ApiError` (mostly `Forbidden`) that the client shall see."""

    name: str

    async def mutate(self, request: AdmissionRequest) -> None: ...

    async def validate(self, request: AdmissionRequest) -> None: ...


class Strategy(Protocol):
    """What is particular about one kind on its way into the store. All functions are pure and change `obj` in place.

    `now` and randomness come in through the constructor where a strategy needs them.
    """

    def default(self, obj: Tree) -> None:
        """Fills defaults in, on every write and on objects inside templates."""
        ...

    def prepare_create(self, obj: Tree) -> None:
        """Drops what a creator may not set (status), sets what only the server sets (generation 1)."""
        ...

    def prepare_update(self, obj: Tree, old: Tree) -> None:
        """Keeps status from `old`; raises the generation when the spec changed."""
        ...

    def prepare_status(self, obj: Tree, old: Tree) -> None:
        """For the status subresource: keeps everything but status (and what status writers may set) from `old`."""
        ...

    def validate(self, obj: Tree) -> Sequence[FieldError]: ...

    def validate_update(self, obj: Tree, old: Tree) -> Sequence[FieldError]: ...

    def validate_status(self, obj: Tree, old: Tree) -> Sequence[FieldError]: ...

    def warnings(self, obj: Tree, old: Tree | None) -> Sequence[str]:
        """Texts for `Warning` headers: deprecated fields and the like."""
        ...


@dataclass(frozen=True)
class Conversion:
    """How objects of a version that is not the stored one are turned; both functions are pure and give new trees."""

    to_storage: Callable[[Tree], Tree]
    from_storage: Callable[[Tree], Tree]


@dataclass(frozen=True, kw_only=True)
class Resource:
    """One served resource: what discovery says of it, and how its objects are treated."""

    kind: Kind
    singular: str
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...]
    """Without subresources' verbs: `("create", "delete", ...)`."""
    subresources: Mapping[str, "Subresource"] = field(default_factory=dict)
    schema: Schema
    """For unknown fields, types, merge keys; of this version."""
    strategy: Strategy
    storage_version: str
    """The version in which objects are stored: all versions of a group resource share one storage."""
    conversion: Conversion | None = None
    """For a version that differs from the stored one in more than its name."""
    columns: Sequence[Tree] = ()
    """A CRD's `additionalPrinterColumns`; built-in kinds have printers of their own in `table.py`."""
    scale: Tree | None = None
    """A CRD's `subresources.scale`: `{specReplicasPath, statusReplicasPath, labelSelectorPath}`."""
    is_custom: bool = False
    needs_revision: bool = False
    """An update must say of which revision it is one."""
    creates_on_update: bool = False
    """An update of an object that is not there creates it."""
    deprecation: str = ""
    """Not empty: sent as a warning with each answer."""
    selectable_fields: tuple[str, ...] = ()
    """Field-selector paths beside `metadata.name` and `metadata.namespace`: `("status.phase", "spec.nodeName")`."""
    virtual: "Handler | None" = None
    """For resources that are not stored (reviews, component status, metrics): answers all their requests."""


@dataclass(frozen=True, kw_only=True)
class Subresource:
    """What discovery says of a subresource."""

    kind: Kind
    """The kind of its objects: `Scale`, `Eviction`, `TokenRequest`, or the parent's for `status`."""
    verbs: tuple[str, ...]


@dataclass(frozen=True)
class RequestInfo:
    """A request, parsed. Source of the rules: k8s.io/apiserver (pkg/endpoints/request/requestinfo.go)."""

    method: str
    path: str
    query: Mapping[str, str]
    """First value of each parameter."""
    queries: Mapping[str, Sequence[str]]
    """All values (exec's `command`)."""
    headers: Mapping[str, str]
    user: User
    verb: str
    resource: Resource | None = None
    key: ObjectKey | None = None
    """The name is `""` for a collection."""
    subresource: str = ""
    subpath: str = ""
    """What follows the subresource: for `proxy`."""
    body: bytes = b""


@dataclass
class Answer:
    """What a handler gives back: an object (rendered in the form that was asked for) or bytes as they are."""

    obj: Tree | None = None
    code: int = 200
    raw: bytes | None = None
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    stream: AsyncIterator[bytes] | None = None
    """A body that comes piece by piece (logs, watches); closed when the client goes away."""


Handler = Callable[[RequestInfo], Awaitable[Answer]]
"""Answers one request; the route tables of discovery, OpenAPI and subresources are made of these."""


Upgrade = Callable[[RequestInfo, Any, Any, Any], Awaitable[None]]
"""Answers a WebSocket request (exec, attach, port-forward): `(info, scope, receive, send)` as ASGI has them."""


class Storage(Protocol):
    """What strategies, authorizers and plug-ins may read: the objects as they are now, without I/O."""

    def get(self, kind: Kind, key: ObjectKey) -> Tree | None: ...

    def list(self, kind: Kind, namespace: str = "") -> Sequence[Tree]: ...

    def facts(self, kind: Kind, of: Callable[[Tree], T], namespace: str = "") -> Sequence[T]:
        """`of(obj)` for each object, worked out once for each state of it: for what is asked at every request.

        `of` must be pure, and there for good: it is remembered by.
        """
        ...

    def revision(self, kind: Kind) -> int:
        """A number that changes with each change of an object of that kind; what was computed from a list holds
        as long as it stands."""
        ...
