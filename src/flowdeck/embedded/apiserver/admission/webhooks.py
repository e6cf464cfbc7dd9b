"""Webhooks: programs of users that may change or refuse what is written.

Source: k8s.io/apiserver (pkg/admission/plugin/webhook/{mutating,validating}/dispatcher.go, .../errors).
"""

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flowdeck.embedded.apiserver.admission.admission_review import (
    BadAnswer,
    Verdict,
    read_verdict,
    request_tree,
    review_body,
)
from flowdeck.embedded.apiserver.admission.matching import (
    as_matched,
    failing_condition,
    is_askable,
    matches_selectors,
    values_of,
)
from flowdeck.embedded.apiserver.admission.owner_references_permission import FindKind
from flowdeck.embedded.apiserver.admission.plugin import Plugin, refusal
from flowdeck.embedded.apiserver.admission.webhook_client import CallFailed, WebhookClient
from flowdeck.embedded.apiserver.contract import AdmissionPlugin, AdmissionRequest, Storage
from flowdeck.kube import cel, patches
from flowdeck.kube.errors import ApiError, BadRequest, InternalError, Invalid, from_status
from flowdeck.kube.kinds import MUTATING_WEBHOOK_CONFIGURATION, VALIDATING_WEBHOOK_CONFIGURATION
from flowdeck.kube.objects import Kind, Tree, copy_of


@dataclass
class _Hooks:
    """The webhooks of all configurations of a kind, kept while none changes."""

    storage: Storage
    kind: Kind
    _revision: int = -1
    _found: Sequence[Tree] = ()

    def all(self) -> Sequence[Tree]:
        revision = self.storage.revision(self.kind)
        if revision != self._revision:
            configurations = sorted(self.storage.list(self.kind), key=lambda item: str(item["metadata"]["name"]))
            self._found = [hook for item in configurations for hook in item.get("webhooks") or ()]
            self._revision = revision
        return self._found


@dataclass(frozen=True)
class Caller:
    """Asks one webhook about one request."""

    storage: Storage
    client: WebhookClient
    find_kind: FindKind

    def seen(self, hook: Tree, request: AdmissionRequest) -> AdmissionRequest | None:
        """The request as the webhook is to see it; None when it is not to be asked.

        Raises `Forbidden` when its conditions cannot be evaluated.
        """
        seen = as_matched(hook.get("rules") or (), request, self.find_kind, hook.get("matchPolicy"))
        if seen is None or not matches_selectors(hook, request, self.storage):
            return None
        conditions = hook.get("matchConditions")
        if not conditions:
            return seen
        values = values_of(seen, self.storage, request_tree(seen, asked=request.resource.kind))
        try:
            return None if failing_condition(conditions, values) else seen
        except cel.EvaluationError as error:
            if _ignores_failure(hook):
                return None
            raise refusal(request, str(error)) from error

    async def ask(self, hook: Tree, request: AdmissionRequest, asked: Kind) -> Verdict | None:
        """The verdict; None when there was none and that is to be ignored.

        `request` is the one that the webhook sees, `asked` the kind that the client named. Raises `InternalError` when
        there was none, `BadRequest` for a dry run that the webhook cannot do.
        """
        name = hook["name"]
        if request.dry_run and hook.get("sideEffects") not in ("None", "NoneOnDryRun"):
            raise BadRequest(f'admission webhook "{name}" does not support dry run')
        try:
            verdict = await self._verdict(hook, request, asked)
        except CallFailed as error:
            if _ignores_failure(hook):
                return None
            raise InternalError(f'Internal error occurred: failed calling webhook "{name}": {error}') from error
        request.warnings.extend(verdict.warnings)
        if not verdict.allowed:
            raise denied(name, verdict.status)
        return verdict

    async def _verdict(self, hook: Tree, request: AdmissionRequest, asked: Kind) -> Verdict:
        uid = str(uuid.uuid4())
        answer = await self.client.post(hook, review_body(request, uid, asked))
        try:
            return read_verdict(answer, uid)
        except BadAnswer as error:
            raise CallFailed(str(error)) from error


class MutatingWebhooks(Plugin):
    """Asks one webhook after the other; each sees what those before it have changed.

    When something was changed, the plug-ins in `earlier` and the webhooks with `reinvocationPolicy: IfNeeded` that
    have not seen the outcome are asked once more.
    """

    name = "MutatingAdmissionWebhook"

    def __init__(self, caller: Caller, earlier: Sequence[AdmissionPlugin]) -> None:
        self._caller = caller
        self._earlier = earlier
        self._hooks = _Hooks(caller.storage, MUTATING_WEBHOOK_CONFIGURATION)

    async def close(self) -> None:
        await self._caller.client.close()

    async def mutate(self, request: AdmissionRequest) -> None:
        hooks = self._hooks.all()
        if not hooks or not is_askable(request):
            return
        left: dict[int, Tree | None] = {}
        before = request.obj
        for number, hook in enumerate(hooks):
            if await self._ask(hook, request):
                left[number] = request.obj
        if request.obj is None or request.obj is before:
            return
        request.obj = copy_of(request.obj)
        for plugin in self._earlier:
            await plugin.mutate(request)
        for number, hook in enumerate(hooks):
            is_wanted = hook.get("reinvocationPolicy") == "IfNeeded" and number in left
            if is_wanted and left[number] != request.obj:
                await self._ask(hook, request)

    async def validate(self, request: AdmissionRequest) -> None:
        """A delete is only refused or let pass: there is nothing to change."""
        if request.operation == "DELETE" and is_askable(request):
            for hook in self._hooks.all():
                seen = self._caller.seen(hook, request)
                if seen is not None:
                    await self._caller.ask(hook, seen, request.resource.kind)

    async def _ask(self, hook: Tree, request: AdmissionRequest) -> bool:
        """Lets a webhook change the object; says whether it was asked."""
        seen = self._caller.seen(hook, request)
        if seen is None:
            return False
        verdict = await self._caller.ask(hook, seen, request.resource.kind)
        if verdict is not None and verdict.patch and seen.obj is not None:
            self._change(hook, request, _patched(hook["name"], seen.obj, verdict.patch))
        return True

    def _change(self, hook: Tree, request: AdmissionRequest, obj: Tree) -> None:
        request.obj = {"metadata": {}, **obj, "apiVersion": request.resource.kind.api_version}
        if (request.obj["metadata"].get("namespace") or request.key.namespace) != request.key.namespace:
            raise BadRequest("the namespace of the provided object does not match the namespace sent on the request")
        errors = request.resource.schema.type_errors(request.obj)
        if errors:
            raise InternalError(f"Internal error occurred: {'; '.join(errors)}")
        request.resource.schema.prune(request.obj)
        request.resource.strategy.default(request.obj)


class ValidatingWebhooks(Plugin):
    """Asks all webhooks at once; the first of the refusals, in the order of the configurations, is told."""

    name = "ValidatingAdmissionWebhook"

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._hooks = _Hooks(caller.storage, VALIDATING_WEBHOOK_CONFIGURATION)

    async def validate(self, request: AdmissionRequest) -> None:
        hooks = self._hooks.all()
        if not hooks or not is_askable(request):
            return
        pairs = [(hook, self._caller.seen(hook, request)) for hook in hooks]
        concerned = [(hook, seen) for hook, seen in pairs if seen is not None]
        if not concerned:
            return
        kind = request.resource.kind
        async with asyncio.TaskGroup() as tasks:
            answers = [tasks.create_task(self._refusal(hook, seen, kind)) for hook, seen in concerned]
        for answer in answers:
            error = answer.result()
            if error is not None:
                raise error

    async def _refusal(self, hook: Tree, seen: AdmissionRequest, asked: Kind) -> ApiError | None:
        try:
            await self._caller.ask(hook, seen, asked)
        except ApiError as error:
            return error
        return None


def denied(name: str, status: Tree | None) -> ApiError:
    """The error that a client sees when a webhook said no, with the webhook's own code and reason."""
    told = dict(status or {})
    code, reason = int(told.get("code") or 0), str(told.get("reason") or "")
    told["code"] = code if code >= 400 else 400
    start = f'admission webhook "{name}" denied the request'
    why = told.get("message") or reason
    told["message"] = f"{start}: {why}" if why else f"{start} without explanation"
    error = from_status(told)
    error.__class__ = type("Denied", (type(error),), {"code": told["code"], "reason": reason})
    return error


def _ignores_failure(hook: Tree) -> bool:
    return hook.get("failurePolicy") == "Ignore"


def _patched(name: str, obj: Tree, patch: Sequence[Any]) -> Tree:
    try:
        return patches.apply_json_patch(obj, list(patch))
    except (BadRequest, Invalid) as error:
        raise InternalError(f"Internal error occurred: {error.message} (patch of admission webhook {name})") from error
