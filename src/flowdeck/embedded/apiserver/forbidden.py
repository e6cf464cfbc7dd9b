"""The text of a 403: `pods is forbidden: User "x" cannot list resource "pods" in API group "" in the namespace "y"`.

Source: k8s.io/apiserver (pkg/endpoints/handlers/responsewriters/errors.go).
"""

from flowdeck.embedded.apiserver.contract import Attributes
from flowdeck.kube.errors import Forbidden


def forbidden(attributes: Attributes, reason: str = "") -> Forbidden:
    """The answer for a request that the authorizer did not allow; `reason` is its reason, if it gave one."""
    message = _message(attributes)
    if reason:
        message = f"{message}: {reason}"
    if not attributes.resource:
        return Forbidden(f"forbidden: {message}")
    resource = f"{attributes.resource}.{attributes.group}" if attributes.group else attributes.resource
    subject = f'{resource} "{attributes.name}"' if attributes.name else resource
    return Forbidden(
        f"{subject} is forbidden: {message}",
        group=attributes.group,
        kind=attributes.resource,
        name=attributes.name,
    )


def _message(attributes: Attributes) -> str:
    who = f'User "{attributes.user.name}" cannot {attributes.verb}'
    if not attributes.resource:
        return f'{who} path "{attributes.path}"'
    resource = attributes.resource
    if attributes.subresource:
        resource = f"{resource}/{attributes.subresource}"
    where = f'in the namespace "{attributes.namespace}"' if attributes.namespace else "at the cluster scope"
    return f'{who} resource "{resource}" in API group "{attributes.group}" {where}'
