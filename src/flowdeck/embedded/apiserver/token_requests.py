"""`serviceaccounts/NAME/token`: a new token for an account, bound to a pod, a secret or a node if asked for.

Source: kubernetes (pkg/registry/core/serviceaccount/storage/token.go, pkg/apis/authentication/validation).
"""

from dataclasses import dataclass
from datetime import timedelta

from flowdeck.clock import Clock
from flowdeck.embedded.apiserver.bodies import object_of
from flowdeck.embedded.apiserver.contract import Answer, RequestInfo, Storage, User
from flowdeck.embedded.apiserver.node_authorizer import is_node
from flowdeck.embedded.apiserver.tokens import ServiceAccountTokens, TokenOrder
from flowdeck.kube.errors import BadRequest, Conflict, Forbidden, MethodNotAllowed, invalid, invalid_object, not_found
from flowdeck.kube.kinds import NODE, POD, SECRET, SERVICE_ACCOUNT
from flowdeck.kube.objects import Kind, ObjectKey, Tree, uid_of
from flowdeck.kube.times import format_time

TOKEN_REQUEST = Kind("authentication.k8s.io", "v1", "TokenRequest", "tokenrequests")
_BINDABLE = {"Pod": POD, "Secret": SECRET, "Node": NODE}
_MIN_S = 600
_MAX_S = 1 << 32


@dataclass(frozen=True, kw_only=True)
class TokenRequests:
    """Answers requests for tokens."""

    tokens: ServiceAccountTokens
    storage: Storage
    clock: Clock

    async def handle(self, info: RequestInfo) -> Answer:
        """The handler of the subresource."""
        if info.method != "POST" or info.key is None:
            raise MethodNotAllowed("the server does not allow this method on the requested resource")
        return Answer(obj=self.create(info.key, object_of(info, TOKEN_REQUEST), info.user), code=201)

    def create(self, key: ObjectKey, request: Tree, user: User) -> Tree:
        """The TokenRequest with its token. Raises `NotFound`, `Invalid`, `BadRequest`, `Conflict`, `Forbidden`."""
        account = self.storage.get(SERVICE_ACCOUNT, key)
        if account is None:
            raise not_found(SERVICE_ACCOUNT, key.name)
        spec = request.get("spec") or {}
        seconds = 3600 if spec.get("expirationSeconds") is None else spec["expirationSeconds"]
        _check_lifetime(seconds)
        audiences = tuple(spec.get("audiences") or self.tokens.audiences)
        bound = self._bound(account, spec.get("boundObjectRef"), user)
        order = TokenOrder(account=account, audiences=audiences, lifetime_s=seconds, **bound)
        now = self.clock.now()
        expires = now + timedelta(seconds=seconds)
        metadata = {"name": key.name, "namespace": key.namespace, "creationTimestamp": format_time(now)}
        return {
            "kind": TOKEN_REQUEST.kind,
            "apiVersion": TOKEN_REQUEST.api_version,
            "metadata": metadata,
            "spec": {"boundObjectRef": None, **spec, "audiences": list(audiences), "expirationSeconds": seconds},
            "status": {"token": self.tokens.issue(order), "expirationTimestamp": format_time(expires)},
        }

    def _bound(self, account: Tree, reference: Tree | None, user: User) -> dict[str, Tree]:
        """What the token is bound to, by the names that `TokenOrder` uses."""
        if reference is None:
            if is_node(user):
                raise Forbidden("node requested token not bound to a pod")
            return {}
        kind = _BINDABLE.get(reference.get("kind", ""))
        if kind is None or reference.get("apiVersion", "v1") != "v1":
            told = f"{reference.get('apiVersion', '')}, Kind={reference.get('kind', '')}"
            raise BadRequest(f"cannot bind token to object of type /{told}")
        obj = self._find(kind, account["metadata"]["namespace"], reference)
        if kind is not POD:
            if is_node(user):
                raise Forbidden("node requested token bound to a non-pod object")
            return {kind.kind.lower(): obj}
        return self._bound_to_pod(account, obj)

    def _bound_to_pod(self, account: Tree, pod: Tree) -> dict[str, Tree]:
        name = account["metadata"]["name"]
        if (pod["spec"].get("serviceAccountName") or "default") != name:
            raise BadRequest(
                f'cannot bind token for serviceaccount "{name}" to pod running with different serviceaccount name.'
            )
        node_name = pod["spec"].get("nodeName")
        node = self.storage.get(NODE, ObjectKey("", node_name)) if node_name else None
        return {"pod": pod} | ({"node": node} if node else {})

    def _find(self, kind: Kind, namespace: str, reference: Tree) -> Tree:
        name = reference.get("name", "")
        obj = self.storage.get(kind, ObjectKey(namespace if kind.namespaced else "", name))
        if obj is None:
            raise not_found(kind, name)
        uid = reference.get("uid")
        if uid and uid != uid_of(obj):
            raise Conflict(
                f'Operation cannot be fulfilled on {kind.resource} "{name}": the UID in the bound object reference '
                f"({uid}) does not match the UID in record. The object might have been deleted and then recreated",
                group=kind.group,
                kind=kind.plural,
                name=name,
            )
        return obj


def _check_lifetime(seconds: int) -> None:
    path = "spec.expirationSeconds"
    if not isinstance(seconds, int) or seconds < _MIN_S:
        error = invalid(path, seconds, "may not specify a duration less than 10 minutes")
    elif seconds > _MAX_S:
        error = invalid(path, seconds, "may not specify a duration larger than 2^32 seconds")
    else:
        return
    raise invalid_object(TOKEN_REQUEST, "", [error])
