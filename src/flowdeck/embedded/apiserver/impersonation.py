"""Acting as somebody else: `Impersonate-User`, `-Group`, `-Uid` and `-Extra-KEY` headers, each one authorized.

Source: k8s.io/apiserver (pkg/endpoints/filters/impersonation.go).
"""

from collections.abc import Iterable
from urllib.parse import unquote

from flowdeck.embedded.apiserver.authentication import AUTHENTICATED
from flowdeck.embedded.apiserver.contract import ANONYMOUS, Attributes, Authorizer, User
from flowdeck.embedded.apiserver.forbidden import forbidden
from flowdeck.embedded.apiserver.tokens import GROUP, USER_PREFIX
from flowdeck.kube.errors import BadRequest

_AUTHENTICATION = "authentication.k8s.io"
_PREFIX = b"impersonate-"
_EXTRA = "extra-"


def impersonate(user: User, headers: Iterable[tuple[bytes, bytes]], authorizer: Authorizer) -> User:
    """The user that a request shall be treated as coming from: `user` when no header asks for another.

    `headers` are ASGI's, with lower-case names. Raises `Forbidden` for a user who may not act as asked, `BadRequest`
    for a group, uid or extra without a user.
    """
    asked = [
        (name[len(_PREFIX) :].decode(errors="replace"), value.decode(errors="replace"))
        for name, value in headers
        if name.startswith(_PREFIX)
    ]
    if not asked:
        return user
    names = [value for name, value in asked if name == "user" and value]
    if not names:
        raise BadRequest(f"requested {asked!r} without impersonating a user name")
    groups = tuple(value for name, value in asked if name == "group" and value)
    uid = next((value for name, value in asked if name == "uid"), "")
    extra: dict[str, tuple[str, ...]] = {}
    for name, value in asked:
        if name.startswith(_EXTRA):
            key = unquote(name[len(_EXTRA) :])
            extra[key] = (*extra.get(key, ()), value)
    for attributes in _questions(user, names[0], groups, uid, extra):
        decision = authorizer.authorize(attributes)
        if not decision.allowed:
            raise forbidden(attributes, decision.reason)
    return User(names[0], uid, _with_implied(names[0], groups), extra)


def _questions(
    user: User, name: str, groups: Iterable[str], uid: str, extra: dict[str, tuple[str, ...]]
) -> Iterable[Attributes]:
    """What the user must be allowed to `impersonate`."""
    account = name.removeprefix(USER_PREFIX).split(":")
    if name.startswith(USER_PREFIX) and len(account) == 2:
        yield Attributes(
            user, "impersonate", version="v1", resource="serviceaccounts", namespace=account[0], name=account[1]
        )
    else:
        yield Attributes(user, "impersonate", version="v1", resource="users", name=name)
    for group in groups:
        yield Attributes(user, "impersonate", version="v1", resource="groups", name=group)
    for key, values in extra.items():
        for value in values:
            yield Attributes(
                user,
                "impersonate",
                group=_AUTHENTICATION,
                version="v1",
                resource="userextras",
                subresource=key,
                name=value,
            )
    if uid:
        yield Attributes(user, "impersonate", group=_AUTHENTICATION, version="v1", resource="uids", name=uid)


def _with_implied(name: str, groups: tuple[str, ...]) -> tuple[str, ...]:
    """Groups that the server adds: an account's own when none was asked for, and the authenticated."""
    account = name.removeprefix(USER_PREFIX).split(":")
    if name.startswith(USER_PREFIX) and len(account) == 2 and not groups:
        groups = (GROUP, f"{GROUP}:{account[0]}")
    if name == ANONYMOUS.name:
        return groups if ANONYMOUS.groups[0] in groups else (*groups, *ANONYMOUS.groups)
    if AUTHENTICATED in groups:
        return groups
    return (*groups, AUTHENTICATED)
