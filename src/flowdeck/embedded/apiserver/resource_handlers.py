"""HTTP on resources: each verb reads its query and body, makes one call, and renders.

Objects are rendered in the form that the `Accept` header asks for: as they are, as a Table, as their metadata only.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass

from flowdeck.clock import Clock
from flowdeck.embedded.apiserver import deletion, queries
from flowdeck.embedded.apiserver.bodies import patch_of, sent_object
from flowdeck.embedded.apiserver.contract import Answer, RequestInfo, Resource
from flowdeck.embedded.apiserver.deletion import DeleteOptions
from flowdeck.embedded.apiserver.forms import Negotiator
from flowdeck.embedded.apiserver.listing import Page, read_page
from flowdeck.embedded.apiserver.negotiation import JSON, YAML, encode
from flowdeck.embedded.apiserver.registry import Registry
from flowdeck.embedded.apiserver.stored_bytes import Form, is_stored_as_served, list_answer
from flowdeck.embedded.apiserver.verbs import Verbs
from flowdeck.embedded.apiserver.watching import Watches
from flowdeck.embedded.apiserver.writes import WriteOptions
from flowdeck.kube.errors import (
    ApiError,
    BadRequest,
    Cause,
    NotAcceptable,
    NotFound,
    Timeout,
    not_allowed,
    page_not_found,
)
from flowdeck.kube.objects import ObjectKey, Tree, key_of

RETURNS_DELETED = frozenset(
    {
        "pods",
        "services",
        "serviceaccounts",
        "podtemplates",
        "resourcequotas",
        "persistentvolumes",
        "persistentvolumeclaims",
        "csidrivers.storage.k8s.io",
        "csinodes.storage.k8s.io",
        "storageclasses.storage.k8s.io",
        "volumeattachments.storage.k8s.io",
        "volumeattributesclasses.storage.k8s.io",
    }
)
"""Resources whose DELETE answers the object, not a Status. Source: pkg/registry/{core,storage}/*/storage."""
DELETIONS_AT_ONCE = 100
"""Of a DELETE of a collection: so many go to the disk in one commit."""


@dataclass
class ResourceHandlers:
    """Answers requests on stored resources."""

    registry: Registry
    verbs: Verbs
    negotiate: Negotiator
    clock: Clock
    watches: Watches

    async def answer(self, info: RequestInfo) -> Answer:
        """Answers a request on a resource or its `status`. Raises the `ApiError` to answer."""
        resource = _resource(info)
        if info.subresource and info.subresource not in resource.subresources:
            raise page_not_found()
        handler = self._handler(info)
        allowed = resource.subresources[info.subresource].verbs if info.subresource else resource.verbs
        if handler is None or info.verb not in allowed:
            raise not_allowed()
        try:
            answer = await handler(info, resource)
        except ApiError as error:
            if resource.deprecation:
                error.warnings = [resource.deprecation, *error.warnings]
            raise
        if resource.deprecation:
            answer.warnings = [resource.deprecation, *answer.warnings]
        return answer

    def _handler(self, info: RequestInfo) -> Callable[[RequestInfo, Resource], Awaitable[Answer]] | None:
        return {
            "get": self._get,
            "list": self._list,
            "watch": self._watch,
            "create": self._create,
            "update": self._update,
            "patch": self._patch,
            "delete": self._delete,
            "deletecollection": self._delete_all,
        }.get(info.verb)

    # ---- reads ----------------------------------------------------------------------------------------------------

    async def _get(self, info: RequestInfo, resource: Resource) -> Answer:
        form = self.negotiate(info, resource)
        if "resourceVersion" in info.query:
            queries.revision(info)
        entry = self.verbs.get(resource, _key(info))
        if form.is_plain and is_stored_as_served(resource):
            return Answer(raw=entry.raw)
        return self._rendered(form, resource, entry.tree)

    def _rendered(self, form: Form, resource: Resource, obj: Tree, code: int = 200) -> Answer:
        return _encoded(form, form.one(self.verbs.in_version(resource, obj)), code)

    async def _list(self, info: RequestInfo, resource: Resource) -> Answer:
        form = self.negotiate(info, resource)
        page = await self._read_page(info, resource)
        metadata = _list_metadata(page)
        if form.is_plain:
            return list_answer(resource, page.entries, metadata)
        objects = [self.verbs.in_version(resource, entry.tree) for entry in page.entries]
        return _encoded(form, form.page(objects, metadata))

    async def _read_page(self, info: RequestInfo, resource: Resource) -> Page:
        selection = queries.selection(info, resource)
        revision = queries.revision(info)
        match = info.query.get("resourceVersionMatch", "")
        queries.check_list_options(info)
        if info.query.get("continue") and revision:
            raise BadRequest("specifying resource version is not allowed when using continue")
        is_any = info.query.get("resourceVersion") == "0"  # from a cache, upstream: never in pages
        limit = 0 if is_any else queries.number(info, "limit")
        if revision > self.verbs.store.revision:
            await self._wait_for(revision)
        exact = match == "Exact" or (bool(limit) and revision > 0 and match != "NotOlderThan")
        return read_page(
            self.verbs.store,
            resource.kind.resource,
            selection,
            limit=limit,
            continue_token=info.query.get("continue", ""),
            at=revision if exact else 0,
        )

    async def _wait_for(self, revision: int) -> None:
        """A revision that is not there yet (a client that has seen another server's): a moment, then an error."""
        for _ in range(30):
            if self.verbs.store.revision >= revision:
                return
            await self.clock.sleep(0.1)
        told = f"Timeout: Too large resource version: {revision}, current: {self.verbs.store.revision}"
        raise Timeout(told, [Cause("ResourceVersionTooLarge", "Too large resource version")], retry_after_s=1)

    async def _watch(self, info: RequestInfo, resource: Resource) -> Answer:
        form = self.negotiate(info, resource)
        if form.content_type != JSON:
            raise NotAcceptable(f"only the following media types are accepted: {JSON};stream=watch")
        return self.watches.answer(info, resource, form)

    # ---- writes ---------------------------------------------------------------------------------------------------

    async def _create(self, info: RequestInfo, resource: Resource) -> Answer:
        form = self.negotiate(info, resource)
        options = queries.write_options(info)
        if info.key and info.key.name:
            raise not_allowed()
        sent = sent_object(info, resource.kind)
        with _warning_of_errors(options):
            obj = await self.verbs.create(resource, _key(info).namespace, sent, options)
        answer = self._rendered(form, resource, obj, 201)
        answer.warnings = options.warnings
        return answer

    async def _update(self, info: RequestInfo, resource: Resource) -> Answer:
        form = self.negotiate(info, resource)
        options = queries.write_options(info)
        sent = sent_object(info, resource.kind)
        with _warning_of_errors(options):
            obj, created = await self.verbs.update(resource, _key(info), sent, options, subresource=info.subresource)
        answer = self._rendered(form, resource, obj, 201 if created else 200)
        answer.warnings = options.warnings
        return answer

    async def _patch(self, info: RequestInfo, resource: Resource) -> Answer:
        form = self.negotiate(info, resource)
        content, patch = patch_of(info)
        options = queries.write_options(info, content)
        with _warning_of_errors(options):
            obj, created = await self.verbs.patch(
                resource, _key(info), content, patch, options, subresource=info.subresource
            )
        answer = self._rendered(form, resource, obj, 201 if created else 200)
        answer.warnings = options.warnings
        return answer

    async def _delete(self, info: RequestInfo, resource: Resource) -> Answer:
        form = self.negotiate(info, resource)
        wanted, options = queries.delete_options(info)
        warnings = [] if wanted.propagation else deletion.warnings(resource.kind)
        obj, is_gone = await self.verbs.delete(resource, _key(info), wanted, options)
        if not is_gone or resource.kind.resource in RETURNS_DELETED:
            answer = self._rendered(form, resource, obj, 200 if is_gone or not wanted.is_cascading else 202)
        else:
            answer = Answer(obj=_deleted_status(resource, obj))
        answer.warnings = warnings
        return answer

    async def _delete_all(self, info: RequestInfo, resource: Resource) -> Answer:
        wanted, options = queries.delete_options(info)
        page = await self._read_page(info, resource)
        for start in range(0, len(page.entries), DELETIONS_AT_ONCE):
            some = page.entries[start : start + DELETIONS_AT_ONCE]
            await asyncio.gather(*(self._delete_one(resource, key_of(e.tree), wanted, options) for e in some))
        return list_answer(resource, page.entries, _list_metadata(page))

    async def _delete_one(
        self, resource: Resource, key: ObjectKey, wanted: DeleteOptions, options: WriteOptions
    ) -> None:
        with contextlib.suppress(NotFound):  # somebody else was faster
            await self.verbs.delete(resource, key, wanted, options)


@contextlib.contextmanager
def _warning_of_errors(options: WriteOptions) -> Iterator[None]:
    """Who is refused is warned as well."""
    try:
        yield
    except ApiError as error:
        error.warnings = options.warnings
        raise


def _encoded(form: Form, obj: Tree, code: int = 200) -> Answer:
    if form.content_type == JSON:
        return Answer(obj=obj, code=code)
    return Answer(raw=encode(obj, YAML), code=code, content_type=YAML)


def _list_metadata(page: Page) -> Tree:
    metadata: Tree = {"resourceVersion": str(page.revision)}
    if page.continue_token:
        metadata["continue"] = page.continue_token
        if page.remaining is not None:
            metadata["remainingItemCount"] = page.remaining
    return metadata


def _deleted_status(resource: Resource, obj: Tree) -> Tree:
    details = {"name": obj["metadata"]["name"], "kind": resource.kind.plural, "uid": obj["metadata"]["uid"]}
    if resource.kind.group:
        details["group"] = resource.kind.group
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}


def _resource(info: RequestInfo) -> Resource:
    assert info.resource is not None
    return info.resource


def _key(info: RequestInfo) -> ObjectKey:
    assert info.key is not None
    return info.key
