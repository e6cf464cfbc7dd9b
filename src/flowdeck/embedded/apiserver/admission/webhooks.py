"""Webhooks: programs of users that may change or refuse what is written.

Source: k8s.io/apiserver (pkg/admission/plugin/webhook/{mutating,validating}/dispatcher.go, .../errors).
"""

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from flowdeck.embedded.apiserver.admission.admission_review import (
    BadAnswer,
    Verdict,
    read_verdict,
    request_tree,
    review_body,
)
from flowdeck.embedded.apiserver.admission.matching import (
    failing_condition,
    is_askable,
    matches_rules,
    matches_selectors,
    values_of,
)
from flowdeck.embedded.apiserver.admission.plugin import Plugin, refusal
from flowdeck.embedded.apiserver.admission.webhook_client import CallFailed, WebhookClient
from flowdeck.embedded.apiserver.contract import AdmissionPlugin, AdmissionRequest, Storage
from flowdeck.kube import cel, patches
from flowdeck.kube.errors import ApiError, BadRequest, InternalError, Invalid, from_status
from flowdeck.kube.kinds import MUTATING_WEBHOOK_CONFIGURATION, VALIDATING_WEBHOOK_CONFIGURATION
from flowdeck.kube.objects import Kind, Tree


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

    def is_concerned(self, hook: Tree, request: AdmissionRequest) -> bool:
        """Whether the webhook is to be asked. Raises `Forbidden` when its conditions cannot be evaluated."""
        if not matches_rules(hook.get("rules") or (), request):
            return False
        if not matches_selectors(hook, request, self.storage):
            return False
        conditions = hook.get("matchConditions")
        if not conditions:
            return True
        values = values_of(request, self.storage, request_tree(request))
        try:
            return not failing_condition(conditions, values)
        except cel.EvaluationError as error:
            if _ignores_failure(hook):
                return False
            raise refusal(request, str(error)) from error

    async def ask(self, hook: Tree, request: AdmissionRequest) -> Verdict | None:
        """The verdict; None when there was none and that is to be ignored.

        Raises `InternalError` when there was none, `BadRequest` for a dry run that the webhook cannot do.
        """
        name = hook["name"]
        if request.dry_run and hook.get("sideEffects") not in ("None", "NoneOnDryRun"):
            raise BadRequest(f'admission webhook "{name}" does not support dry run')
        try:
            verdict = await self._verdict(hook, request)
        except CallFailed as error:
            if _ignores_failure(hook):
                return None
            raise InternalError(f'Internal error occurred: failed calling webhook "{name}": {error}') from error
        request.warnings.extend(verdict.warnings)
        if not verdict.allowed:
            raise denied(name, verdict.status)
        return verdict

    async def _verdict(self, hook: Tree, request: AdmissionRequest) -> Verdict:
        uid = str(uuid.uuid4())
        answer = await self.client.post(hook, review_body(request, uid))
        try:
            return read_verdict(answer, uid)
        except BadAnswer as error:
            raise CallFailed(f"received invalid webhook response: {error}") from error


@dataclass(frozen=True)
class MutatingWebhooks(Plugin):
    """Asks one webhook after the other; each sees what those before it have changed.

    When something was changed, the plug-ins in `earlier` and the webhooks with `reinvocationPolicy: IfNeeded` that
    have not seen the outcome are asked once more.
    """

    caller: Caller
    earlier: Sequence[AdmissionPlugin] = ()
    name: str = "MutatingAdmissionWebhook"
    _hooks: _Hooks = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_hooks", _Hooks(self.caller.storage, MUTATING_WEBHOOK_CONFIGURATION))

    async def mutate(self, request: AdmissionRequest) -> None:
        hooks = self._hooks.all()
        if not hooks or not is_askable(request):
            return
        seen: dict[int, Tree | None] = {}
        before = request.obj
        for number, hook in enumerate(hooks):
            if self.caller.is_concerned(hook, request):
                await self._ask(hook, request)
                seen[number] = request.obj
        if request.obj is before:
            return
        for plugin in self.earlier:
            await plugin.mutate(request)
        for number, hook in enumerate(hooks):
            if hook.get("reinvocationPolicy") != "IfNeeded" or number not in seen:
                continue
            if seen[number] != request.obj and self.caller.is_concerned(hook, request):
                await self._ask(hook, request)

    async def validate(self, request: AdmissionRequest) -> None:
        """A delete is only refused or let pass: there is nothing to change."""
        if request.operation == "DELETE" and is_askable(request):
            for hook in self._hooks.all():
                if self.caller.is_concerned(hook, request):
                    await self.caller.ask(hook, request)

    async def _ask(self, hook: Tree, request: AdmissionRequest) -> None:
        verdict = await self.caller.ask(hook, request)
        if verdict is None or not verdict.patch or request.obj is None:
            return
        request.obj = _patched(hook["name"], request.obj, verdict.patch)
        errors = request.resource.schema.type_errors(request.obj)
        if errors:
            raise InternalError(f'Internal error occurred: admission webhook "{hook["name"]}": {"; ".join(errors)}')
        request.resource.schema.prune(request.obj)
        request.resource.strategy.default(request.obj)


@dataclass(frozen=True)
class ValidatingWebhooks(Plugin):
    """Asks all webhooks at once; the first of the refusals, in the order of the configurations, is told."""

    caller: Caller
    name: str = "ValidatingAdmissionWebhook"
    _hooks: _Hooks = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_hooks", _Hooks(self.caller.storage, VALIDATING_WEBHOOK_CONFIGURATION))

    async def validate(self, request: AdmissionRequest) -> None:
        hooks = self._hooks.all()
        if not hooks or not is_askable(request):
            return
        concerned = [hook for hook in hooks if self.caller.is_concerned(hook, request)]
        if not concerned:
            return
        async with asyncio.TaskGroup() as tasks:
            answers = [tasks.create_task(self._refusal(hook, request)) for hook in concerned]
        for answer in answers:
            error = answer.result()
            if error is not None:
                raise error

    async def _refusal(self, hook: Tree, request: AdmissionRequest) -> ApiError | None:
        try:
            await self.caller.ask(hook, request)
        except ApiError as error:
            return error
        return None


def denied(name: str, status: Tree | None) -> ApiError:
    """The error that a client sees when a webhook said no, with the webhook's own code and reason."""
    told = dict(status or {})
    if int(told.get("code") or 0) < 400:
        told["code"] = 400
    start = f'admission webhook "{name}" denied the request'
    why = told.get("message") or told.get("reason")
    told["message"] = f"{start}: {why}" if why else f"{start} without explanation"
    return from_status(told)


def _ignores_failure(hook: Tree) -> bool:
    return hook.get("failurePolicy") == "Ignore"


def _patched(name: str, obj: Tree, patch: Sequence[Any]) -> Tree:
    try:
        return patches.apply_json_patch(obj, list(patch))
    except (BadRequest, Invalid) as error:
        raise InternalError(f"Internal error occurred: {error.message} (patch of admission webhook {name})") from error
