"""Cells that printers of many kinds have: names, ages, selectors, containers.

Source: k8s.io/apimachinery (pkg/util/duration), k8s.io/kubernetes (pkg/printers/internalversion/printers.go).
"""

from collections.abc import Iterable
from datetime import datetime

from flowdeck.kube.objects import Tree
from flowdeck.kube.selectors import format_label_selector, label_selector_of
from flowdeck.kube.times import parse_time

NONE = "<none>"
UNKNOWN = "<unknown>"
UNSET = "<unset>"


def name_of(obj: Tree) -> str:
    return str(obj["metadata"].get("name", ""))


def age_of(obj: Tree, now: datetime) -> str:
    return since(obj["metadata"].get("creationTimestamp"), now)


def since(time: str | None, now: datetime) -> str:
    """How long ago a moment was: `5m32s`, `3d4h`; `<unknown>` without one."""
    if not time:
        return UNKNOWN
    return human_duration((now - parse_time(time)).total_seconds())


def human_duration(duration_s: float) -> str:
    """A length of time at the precision that people want: `119s`, `9m59s`, `179m`, `7h59m`, `47h`, `7d23h`, `2y3d`."""
    seconds = int(duration_s)
    if seconds < -1:
        return "<invalid>"
    if seconds < 0:
        return "0s"
    if seconds < 120:
        return f"{seconds}s"
    minutes, hours = seconds // 60, seconds // 3600
    if minutes < 10:
        return _two(minutes, "m", seconds % 60, "s")
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return _two(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if hours < 192:
        return _two(hours // 24, "d", hours % 24, "h")
    if hours < 24 * 365 * 2:
        return f"{hours // 24}d"
    if hours < 24 * 365 * 8:
        return _two(hours // 24 // 365, "y", hours // 24 % 365, "d")
    return f"{hours // 24 // 365}y"


def _two(big: int, big_unit: str, small: int, small_unit: str) -> str:
    return f"{big}{big_unit}{small}{small_unit}" if small else f"{big}{big_unit}"


def containers_and_images(template: Tree) -> tuple[str, str]:
    """`web,proxy` and `nginx:1,envoy`."""
    containers = (template.get("spec") or {}).get("containers") or []
    return ",".join(c.get("name", "") for c in containers), ",".join(c.get("image", "") for c in containers)


def selector_text(selector: Tree | None) -> str:
    """A `{matchLabels, matchExpressions}` selector; `<none>` when it selects all, as upstream shows it."""
    if selector is None:
        return NONE
    expressions = [{"key": "", "operator": "", **item} for item in selector.get("matchExpressions") or ()]
    return format_label_selector(label_selector_of({**selector, "matchExpressions": expressions})) or NONE


def labels_text(labels: Tree | None) -> str:
    if not labels:
        return NONE
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))


def first_and_more(items: Iterable[str], limit: int = 3) -> str:
    """The first few, then `+ 2 more...`; `<none>` for nothing."""
    listed = list(items)
    if not listed:
        return NONE
    text = ",".join(listed[:limit])
    return f"{text} + {len(listed) - limit} more..." if len(listed) > limit else text
