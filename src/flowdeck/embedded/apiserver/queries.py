"""What stands in a request's query: options of writes, which objects, which revision."""

from dataclasses import replace
from typing import Any, cast

from flowdeck.embedded.apiserver.bodies import body_of
from flowdeck.embedded.apiserver.contract import RequestInfo, Resource
from flowdeck.embedded.apiserver.deletion import DeleteOptions
from flowdeck.embedded.apiserver.listing import Selection
from flowdeck.embedded.apiserver.request import is_true
from flowdeck.embedded.apiserver.writes import WriteOptions
from flowdeck.kube.apply import manager_of
from flowdeck.kube.errors import BadRequest

_MAX_NUMBER = 2**63 - 1


def write_options(info: RequestInfo) -> WriteOptions:
    """How a write is to be done, as its query says. Raises `BadRequest`."""
    validation = info.query.get("fieldValidation") or "Warn"
    if validation not in ("Ignore", "Warn", "Strict"):
        raise BadRequest(
            f'fieldValidation: Unsupported value: "{validation}": supported values: "Ignore", "Strict", "Warn"'
        )
    dry_run = info.queries.get("dryRun") or []
    if any(value != "All" for value in dry_run):
        raise BadRequest(f'dryRun: Unsupported value: "{dry_run[0]}": supported values: "All"')
    manager = manager_of(info.query.get("fieldManager", ""), info.headers.get("user-agent", ""))
    if len(manager) > 128:
        raise BadRequest("fieldManager: Too long: may not be more than 128 bytes")
    return WriteOptions(
        user=info.user,
        manager=manager,
        dry_run=bool(dry_run),
        field_validation=cast(Any, validation),
        force=is_true(info.query.get("force", "")),
    )


def delete_options(info: RequestInfo) -> tuple[DeleteOptions, WriteOptions]:
    """From body and query; `dryRun` may stand in either."""
    body = body_of(info) if info.body else None
    options = write_options(info)
    if isinstance(body, dict) and body.get("dryRun"):
        options = replace(options, dry_run=True)
    return DeleteOptions.parse(body, info.query), options


def selection(info: RequestInfo, resource: Resource) -> Selection:
    """Which objects are meant. Raises `BadRequest` for a selector that cannot be read."""
    return Selection.parse(
        resource,
        info.key.namespace if info.key else "",
        info.query.get("labelSelector", ""),
        info.query.get("fieldSelector", ""),
    )


def revision(info: RequestInfo) -> int:
    """`resourceVersion`; 0 without one. Raises `BadRequest`."""
    text = info.query.get("resourceVersion", "")
    try:
        found = int(text or 0)
    except ValueError:
        found = -1
    if found < 0:
        raise BadRequest(
            f'resourceVersion: Invalid value: "{text}": strconv.ParseUint: parsing "{text}": invalid syntax'
        )
    return found


def number(info: RequestInfo, name: str) -> int:
    """A parameter that is a number, 0 without it. Raises `BadRequest`."""
    text = info.query.get(name, "")
    try:
        return min(max(0, int(text or 0)), _MAX_NUMBER)
    except ValueError as error:
        raise BadRequest(f'{name}: Invalid value: "{text}": must be a whole number') from error
