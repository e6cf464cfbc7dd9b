"""What stands in a request's query: options of writes, which objects, which revision."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, cast

from flowdeck.embedded.apiserver.bodies import body_of
from flowdeck.embedded.apiserver.contract import RequestInfo, Resource
from flowdeck.embedded.apiserver.deletion import DeleteOptions
from flowdeck.embedded.apiserver.listing import Selection
from flowdeck.embedded.apiserver.request import is_true
from flowdeck.embedded.apiserver.writes import WriteOptions
from flowdeck.kube.apply import manager_of
from flowdeck.kube.errors import (
    BadRequest,
    FieldError,
    Unclassified,
    forbidden,
    invalid,
    invalid_options,
    not_supported,
    required,
    too_long,
)

LONGEST_MANAGER = 128
_MAX_NUMBER = 2**63 - 1


_OPTIONS = {"create": "CreateOptions", "update": "UpdateOptions", "patch": "PatchOptions"}


def write_options(info: RequestInfo, patch_content: str = "") -> WriteOptions:
    """How a write is to be done, as its query says; `patch_content` is a patch's media type. Raises `Invalid`."""
    validation = info.query.get("fieldValidation") or "Warn"
    dry_run = info.queries.get("dryRun") or []
    errors = [*_apply_errors(info, patch_content), *_manager_errors(info.query.get("fieldManager", ""))]
    if any(value != "All" for value in dry_run):
        errors.append(not_supported("dryRun", dry_run, ["All"]))
    if validation not in ("Ignore", "Warn", "Strict"):
        errors.append(not_supported("fieldValidation", validation, ["", "Ignore", "Strict", "Warn"]))
    if errors:
        raise invalid_options(_OPTIONS.get(info.verb, "DeleteOptions"), errors)
    return WriteOptions(
        user=info.user,
        manager=manager_of(info.query.get("fieldManager", ""), info.headers.get("user-agent", "")),
        dry_run=bool(dry_run),
        field_validation=cast(Any, validation),
        force=is_true(info.query.get("force", "")),
    )


def _apply_errors(info: RequestInfo, patch_content: str) -> Iterator[FieldError]:
    is_apply = patch_content == "application/apply-patch+yaml"
    if is_apply and not info.query.get("fieldManager"):
        yield required("fieldManager", "is required for apply patch")
    if patch_content and not is_apply and "force" in info.query:
        yield forbidden("force", "may not be specified for non-apply patch")


def _manager_errors(manager: str) -> Iterator[FieldError]:
    if len(manager) > LONGEST_MANAGER:
        yield too_long("fieldManager", LONGEST_MANAGER)
    for place, letter in enumerate(manager):
        if not letter.isprintable():
            yield invalid("fieldManager", manager, f"invalid character U+{ord(letter):04X} (at position {place})")


def delete_options(info: RequestInfo) -> tuple[DeleteOptions, WriteOptions]:
    """From body and query; `dryRun` may stand in either."""
    body = body_of(info) if info.body else None
    options = write_options(info)
    wanted = DeleteOptions.parse(body, info.query)
    return wanted, replace(options, dry_run=options.dry_run or wanted.dry_run)


def selection(info: RequestInfo, resource: Resource) -> Selection:
    """Which objects are meant. Raises `BadRequest` for a selector that cannot be read."""
    return Selection.parse(
        resource,
        info.key.namespace if info.key else "",
        info.query.get("labelSelector", ""),
        info.query.get("fieldSelector", ""),
    )


def check_list_options(info: RequestInfo) -> None:
    """Raises `Invalid` for options of a list that do not go together."""
    match, revision = info.query.get("resourceVersionMatch", ""), info.query.get("resourceVersion", "")
    errors = []
    if match and not revision:
        errors.append(_no_match("resourceVersionMatch is forbidden unless resourceVersion is provided"))
    if match and info.query.get("continue"):
        errors.append(_no_match("resourceVersionMatch is forbidden when continue is provided"))
    if match not in ("", "Exact", "NotOlderThan"):
        errors.append(not_supported("resourceVersionMatch", match, ["Exact", "NotOlderThan", ""]))
    if match == "Exact" and revision == "0":
        errors.append(_no_match('resourceVersionMatch "exact" is forbidden for resourceVersion "0"'))
    if "sendInitialEvents" in info.query:
        errors.append(forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"))
    if errors:
        raise invalid_options("ListOptions", errors)


def check_watch_options(info: RequestInfo) -> None:
    """Raises `Invalid` for options of a watch that do not go together."""
    match = info.query.get("resourceVersionMatch", "")
    wants_initial = "sendInitialEvents" in info.query
    errors = []
    if wants_initial and match != "NotOlderThan":
        errors.append(_no_match("sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"))
    if match and not wants_initial:
        errors.append(_no_match("resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"))
    if match not in ("", "NotOlderThan"):
        errors.append(not_supported("resourceVersionMatch", match, ["NotOlderThan"]))
    if info.query.get("continue"):
        errors.append(_no_match("resourceVersionMatch is forbidden when continue is provided"))
    if errors:
        raise invalid_options("ListOptions", errors)


def _no_match(why: str) -> FieldError:
    return forbidden("resourceVersionMatch", why)


def revision(info: RequestInfo) -> int:
    """`resourceVersion`; 0 without one. Raises `BadRequest` for a list, else `Unclassified`, as upstream."""
    text = info.query.get("resourceVersion", "")
    if not text or (text.isascii() and text.isdigit()):
        return int(text or 0)
    told = f'resourceVersion: Invalid value: "{text}": strconv.ParseUint: parsing "{text}": invalid syntax'
    raise BadRequest(f"invalid resource version: {told}") if info.verb == "list" else Unclassified(told)


def number(info: RequestInfo, name: str) -> int:
    """A parameter that is a number, 0 without it or below. Raises `BadRequest`."""
    text = info.query.get(name) or "0"
    try:
        found = int(text)
    except ValueError as error:
        raise BadRequest(f'strconv.ParseInt: parsing "{text}": invalid syntax') from error
    if abs(found) > _MAX_NUMBER:
        raise BadRequest(f'strconv.ParseInt: parsing "{text}": value out of range')
    return max(0, found)
