"""Rules for resource names and amounts: requests, limits, capacities, quotas.

Source: k8s.io/kubernetes (pkg/apis/core/validation/validation.go, pkg/apis/core/helper).
"""

from flowdeck.embedded.apiserver.builtin.validation.single_values import Errors, non_negative_quantity
from flowdeck.kube.errors import invalid, required
from flowdeck.kube.names import qualified_name
from flowdeck.kube.objects import Tree
from flowdeck.kube.quantity import parse_quantity

_CONTAINER = ("cpu", "memory", "ephemeral-storage")
_HUGE_PAGES = "hugepages-"


def is_native(name: str) -> bool:
    return "/" not in name or "kubernetes.io/" in name


def is_extended(name: str) -> bool:
    """A resource that users define: `nvidia.com/gpu`."""
    return not is_native(name) and not name.startswith("requests.")


def validate_requirements(resources: Tree | None, path: str) -> Errors:
    """`{requests, limits}` of a container."""
    if not resources:
        return []
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    errors: Errors = []
    for name, amount in limits.items():
        errors += _amount(name, amount, f"{path}.limits[{name}]", f"{path}.limits")
    for name, amount in requests.items():
        errors += _amount(name, amount, f"{path}.requests[{name}]", f"{path}.requests")
        errors += _within_limit(name, amount, limits.get(name), f"{path}.requests")
    return errors


def _amount(name: str, amount: str, path: str, holder: str) -> Errors:
    if name in _CONTAINER:
        return non_negative_quantity(amount, path)
    errors = [invalid(holder, name, text) for text in qualified_name(name)]
    if errors:
        return errors
    if "/" not in name and not name.startswith(_HUGE_PAGES):
        errors.append(invalid(holder, name, "must be a standard resource type or fully qualified"))
        errors.append(invalid(holder, name, "must be a standard resource for containers"))
    errors += non_negative_quantity(amount, path)
    if is_extended(name) and parse_quantity(amount).milli % 1000:
        errors.append(invalid(path, amount, "must be an integer"))
    return errors


def _within_limit(name: str, request: str, limit: str | None, path: str) -> Errors:
    if limit is None:
        if is_extended(name):
            return [required(path.replace("requests", "limits"), "Limit must be set for non overcommitable resources")]
        return []
    wanted, allowed = parse_quantity(request), parse_quantity(limit)
    if is_extended(name) and wanted.value != allowed.value:
        return [invalid(path, request, f"must be equal to {name} limit of {limit}")]
    if wanted.value > allowed.value:
        return [invalid(path, request, f"must be less than or equal to {name} limit of {limit}")]
    return []


def validate_amounts(amounts: Tree | None, path: str) -> Errors:
    """A plain list of resources: capacities, quotas."""
    errors: Errors = []
    for name, amount in (amounts or {}).items():
        errors += [invalid(f"{path}[{name}]", name, text) for text in qualified_name(name)]
        errors += non_negative_quantity(amount, f"{path}[{name}]")
    return errors
