"""Questions that are asked by creating an object: who is this token, who am I, may they, what may I.

Nothing is stored: the answer is the object with its `status` filled in.
Source: kubernetes (pkg/registry/authentication, pkg/registry/authorization).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from flowdeck.embedded.apiserver.authentication import AUTHENTICATED, BearerTokens
from flowdeck.embedded.apiserver.bodies import object_of
from flowdeck.embedded.apiserver.contract import Answer, Attributes, Authorizer, Handler, RequestInfo, User
from flowdeck.embedded.apiserver.rbac import RbacAuthorizer
from flowdeck.embedded.apiserver.tokens import ServiceAccountTokens
from flowdeck.kube.errors import BadRequest, FieldError, MethodNotAllowed, Unauthorized, invalid, invalid_object
from flowdeck.kube.objects import Kind, Tree

AUTHENTICATION = "authentication.k8s.io"
AUTHORIZATION = "authorization.k8s.io"


@dataclass(frozen=True, kw_only=True)
class Reviews:
    """Answers reviews; `handlers()` says which resources it serves."""

    tokens: BearerTokens
    authorizer: Authorizer
    rbac: RbacAuthorizer
    """For the list of what somebody may do."""

    def handlers(self) -> Mapping[str, Handler]:
        """By resource, as `Resource.virtual` wants them."""
        return {
            f"tokenreviews.{AUTHENTICATION}": self.token_review,
            f"selfsubjectreviews.{AUTHENTICATION}": self.self_subject_review,
            f"subjectaccessreviews.{AUTHORIZATION}": self.subject_access_review,
            f"localsubjectaccessreviews.{AUTHORIZATION}": self.local_subject_access_review,
            f"selfsubjectaccessreviews.{AUTHORIZATION}": self.self_subject_access_review,
            f"selfsubjectrulesreviews.{AUTHORIZATION}": self.self_subject_rules_review,
        }

    async def token_review(self, info: RequestInfo) -> Answer:
        spec = _spec(info)
        token = spec.get("token") or ""
        if not token:
            raise BadRequest("token is required for TokenReview in authentication")
        status: Tree = {"user": {}}
        try:
            found = await self.tokens.authenticate_token(token, tuple(spec.get("audiences") or ()))
        except Unauthorized as error:
            status["error"] = f"[invalid bearer token, {error.message}]"
        else:
            if found is not None:
                groups = tuple(dict.fromkeys((*found.user.groups, AUTHENTICATED)))
                status = {"authenticated": True, "user": user_tree(found.user) | {"groups": list(groups)}}
                if found.audiences:
                    status["audiences"] = list(found.audiences)
        return _answer(info, spec, status)

    async def self_subject_review(self, info: RequestInfo) -> Answer:
        _spec(info)
        return _answer(info, None, {"userInfo": user_tree(info.user)})

    async def subject_access_review(self, info: RequestInfo) -> Answer:
        return self._access(info, _spec(info))

    async def local_subject_access_review(self, info: RequestInfo) -> Answer:
        spec = _spec(info)
        namespace = info.key.namespace if info.key else ""
        asked, path = spec.get("resourceAttributes"), "spec.resourceAttributes.namespace"
        if spec.get("nonResourceAttributes") is not None:
            told = "disallowed on this kind of request"
            _check(info, [invalid("spec.nonResourceAttributes", _in_go(spec["nonResourceAttributes"]), told)])
        if asked is not None and asked.get("namespace", "") != namespace:
            _check(info, [invalid(path, asked.get("namespace", ""), "must match metadata.namespace")])
        return self._access(info, spec)

    async def self_subject_access_review(self, info: RequestInfo) -> Answer:
        spec = _spec(info)
        _check(info, _attribute_errors(spec))
        return _answer(info, spec, self._decide(info.user, spec))

    async def self_subject_rules_review(self, info: RequestInfo) -> Answer:
        spec = _spec(info)
        namespace = spec.get("namespace") or ""
        if not namespace:
            raise BadRequest("no namespace on request")
        found = self.rbac.grants(info.user, namespace)
        rules = [grant.rule.to_tree() for grant in found.grants]
        status: Tree = {
            "resourceRules": [rule for rule in rules if "resources" in rule],
            "nonResourceRules": [rule for rule in rules if "nonResourceURLs" in rule],
            "incomplete": bool(found.missing),
        }
        if found.missing:
            status["evaluationError"] = ", ".join(found.missing)
        return _answer(info, spec, status)

    def _access(self, info: RequestInfo, spec: Tree) -> Answer:
        errors = _attribute_errors(spec)
        if not spec.get("user") and not spec.get("groups"):
            errors.append(
                invalid("spec.user", spec.get("user") or "", "at least one of user or group must be specified")
            )
        _check(info, errors)
        extra = {key.lower(): tuple(values) for key, values in (spec.get("extra") or {}).items()}
        user = User(spec.get("user") or "", spec.get("uid") or "", tuple(spec.get("groups") or ()), extra)
        return _answer(info, spec, self._decide(user, spec))

    def _decide(self, user: User, spec: Tree) -> Tree:
        decision = self.authorizer.authorize(_attributes(user, spec))
        return {"allowed": decision.allowed} | ({"reason": decision.reason} if decision.reason else {})


def user_tree(user: User) -> Tree:
    """A user as `UserInfo` on the wire."""
    tree: Tree = {"username": user.name}
    if user.uid:
        tree["uid"] = user.uid
    if user.groups:
        tree["groups"] = list(user.groups)
    if user.extra:
        tree["extra"] = {key: list(values) for key, values in user.extra.items()}
    return tree


def discovery_routes(tokens: ServiceAccountTokens) -> Mapping[str, Handler]:
    """The documents by which strangers verify service-account tokens."""

    async def configuration(_: RequestInfo) -> Answer:
        return Answer(obj=tokens.discovery())

    async def key_set(_: RequestInfo) -> Answer:
        return Answer(obj=tokens.key_set(), content_type="application/jwk-set+json")

    return {"/.well-known/openid-configuration": configuration, "/openid/v1/jwks": key_set}


def _spec(info: RequestInfo) -> Tree:
    if info.method != "POST":
        raise MethodNotAllowed("the server does not allow this method on the requested resource")
    return object_of(info, _kind(info)).get("spec") or {}


def _kind(info: RequestInfo) -> Kind:
    if info.resource is None:
        raise BadRequest("a review is a resource")
    return info.resource.kind


def _answer(info: RequestInfo, spec: Tree | None, status: Tree) -> Answer:
    kind = _kind(info)
    metadata: Tree = {"namespace": info.key.namespace} if kind.namespaced and info.key else {}
    obj: Tree = {"kind": kind.kind, "apiVersion": kind.api_version, "metadata": metadata}
    if spec is not None:
        obj["spec"] = spec
    return Answer(obj=obj | {"status": status}, code=201)


def _check(info: RequestInfo, errors: list[FieldError]) -> None:
    if errors:
        # upstream does not say of which kind
        raise invalid_object(replace(_kind(info), kind=""), "", errors)


def _in_go(attributes: Tree) -> Tree:
    """As Go names the fields."""
    return {"Path": attributes.get("path", ""), "Verb": attributes.get("verb", "")}


def _attribute_errors(spec: Tree) -> list[FieldError]:
    asked, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if asked is not None and path is not None:
        return [
            invalid(
                "spec.nonResourceAttributes", _in_go(path), "cannot be specified in combination with resourceAttributes"
            )
        ]
    if asked is None and path is None:
        return [
            invalid(
                "spec.resourceAttributes",
                None,
                "exactly one of nonResourceAttributes or resourceAttributes must be specified",
            )
        ]
    return []


def _attributes(user: User, spec: Tree) -> Attributes:
    asked = spec.get("resourceAttributes")
    if asked is None:
        other = spec.get("nonResourceAttributes") or {}
        return Attributes(user, other.get("verb", ""), path=other.get("path", ""))
    names = ("group", "version", "resource", "subresource", "namespace", "name")
    return Attributes(user, asked.get("verb", ""), **{name: asked.get(name) or "" for name in names})
