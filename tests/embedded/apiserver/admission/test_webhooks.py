"""Webhooks of users: when they are asked, what they change, how their refusals and failures read."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flowdeck.embedded.apiserver.admission.default_toleration_seconds import DefaultTolerationSeconds
from flowdeck.embedded.apiserver.admission.service_resolver import ServiceResolver
from flowdeck.embedded.apiserver.admission.webhook_client import WebhookClient
from flowdeck.embedded.apiserver.admission.webhooks import Caller, MutatingWebhooks, ValidatingWebhooks
from flowdeck.embedded.apiserver.contract import AdmissionRequest
from flowdeck.kube.errors import ApiError, BadRequest, Forbidden, InternalError
from flowdeck.kube.kinds import (
    ENDPOINT_SLICE,
    MUTATING_WEBHOOK_CONFIGURATION,
    NAMESPACE,
    SERVICE,
    VALIDATING_WEBHOOK_CONFIGURATION,
)
from flowdeck.kube.objects import Kind, Tree
from flowdeck.kube.schema import Schema
from tests.embedded.apiserver.admission.makers import a_pod, a_request, admit
from tests.embedded.apiserver.admission.webhook_server import Answer, WebhookServer, a_webhook, patching
from tests.embedded.apiserver.in_memory import InMemoryStorage

OLD_PODS = Kind("", "v1beta1", "Pod", "pods")
PODS = [{"operations": ["CREATE", "UPDATE", "DELETE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}]


def _find_kind(group: str, version: str, kind: str) -> Kind | None:
    return OLD_PODS if (version, kind) == ("v1beta1", "Pod") else None


class Hooked:
    """A cluster with one webhook, registered both as mutating and as validating."""

    def __init__(self, server: WebhookServer, client: WebhookClient, storage: InMemoryStorage) -> None:
        self.server = server
        self.storage = storage
        caller = Caller(storage, client, _find_kind)
        self.mutating = MutatingWebhooks(caller, earlier=[DefaultTolerationSeconds()])
        self.validating = ValidatingWebhooks(caller)

    def register(self, name: str = "hook", *, mutating: bool = False, **more: Any) -> None:
        hook = {"name": f"{name}.acme.com", "clientConfig": self.server.config, "rules": PODS, "sideEffects": "None"}
        kind = MUTATING_WEBHOOK_CONFIGURATION if mutating else VALIDATING_WEBHOOK_CONFIGURATION
        self.storage.put(kind, {"metadata": {"name": name}, "webhooks": [hook | more]})

    async def admit(self, request: AdmissionRequest) -> Tree:
        await admit(self.mutating, request)
        return await admit(self.validating, request)


@asynccontextmanager
async def hooked(folder: Path, answer: Answer) -> AsyncIterator[Hooked]:
    storage = InMemoryStorage((NAMESPACE, {"metadata": {"name": "team", "labels": {"env": "prod"}}}))
    client = WebhookClient(ServiceResolver(storage))
    async with a_webhook(folder, answer) as server:
        yield Hooked(server, client, storage)
        await client.close()


def allow(request: Tree) -> Tree:
    return {"allowed": True}


async def refused(folder: Path, answer: Answer, *, dry_run: bool = False, **more: Any) -> ApiError:
    """The error that a pod is refused with."""
    async with hooked(folder, answer) as world:
        world.register(**more)
        with pytest.raises(ApiError) as caught:
            await world.admit(a_request(a_pod(), dry_run=dry_run))
        return caught.value


async def test_a_webhook_sees_the_whole_request(tmp_path: Path) -> None:
    async with hooked(tmp_path, allow) as world:
        world.register()
        await world.admit(a_request(a_pod(), options={"fieldManager": "me"}))
        asked = world.server.asked[0]
    assert asked["kind"] == {"group": "", "version": "v1", "kind": "Pod"}
    assert asked["resource"] == {"group": "", "version": "v1", "resource": "pods"}
    assert (asked["operation"], asked["namespace"], asked["name"]) == ("CREATE", "team", "p")
    assert asked["userInfo"] == {"username": "bob", "groups": ["dev", "system:authenticated"]}
    assert asked["object"]["metadata"]["name"] == "p"
    assert asked["oldObject"] is None
    assert asked["options"]["fieldManager"] == "me"


async def test_a_mutating_webhook_changes_the_object_and_warns(tmp_path: Path) -> None:
    patch = patching({"op": "add", "path": "/metadata/labels", "value": {"a": "b"}})
    async with hooked(tmp_path, lambda _: patch | {"warnings": ["labelled"]}) as world:
        world.register(mutating=True)
        request = a_request(a_pod())
        pod = await _mutated(world, request)
    assert pod["metadata"]["labels"] == {"a": "b"}
    assert request.warnings == ["labelled"]


class _NoStrategy:
    def default(self, obj: Tree) -> None:
        """Nothing to fill in."""


async def _mutated(world: Hooked, request: AdmissionRequest) -> Tree:
    schema = Schema.compile({"type": "object", "x-kubernetes-preserve-unknown-fields": True})
    request.resource = replace(request.resource, strategy=_NoStrategy(), schema=schema)  # type: ignore[arg-type]
    await world.mutating.mutate(request)
    assert request.obj is not None
    return request.obj


async def test_a_webhook_for_another_version_sees_that_version_and_its_change_is_kept(tmp_path: Path) -> None:
    patch = patching({"op": "add", "path": "/metadata/labels", "value": {"a": "b"}})
    async with hooked(tmp_path, lambda _: patch) as world:
        world.register(mutating=True, rules=[PODS[0] | {"apiVersions": ["v1beta1"]}])
        pod = await _mutated(world, a_request(a_pod()))
        asked = world.server.asked[0]
    assert (asked["kind"]["version"], asked["requestKind"]["version"]) == ("v1beta1", "v1")
    assert asked["object"]["apiVersion"] == "v1beta1"
    assert (pod["apiVersion"], pod["metadata"]["labels"]) == ("v1", {"a": "b"})


async def test_our_own_plug_ins_see_what_a_webhook_has_changed(tmp_path: Path) -> None:
    patch = patching({"op": "add", "path": "/metadata/labels", "value": {"a": "b"}})
    async with hooked(tmp_path, lambda _: patch) as world:
        world.register(mutating=True)
        pod = await _mutated(world, a_request(a_pod()))
    assert len(pod["spec"]["tolerations"]) == 2


async def test_a_webhook_is_asked_again_when_a_later_one_changed_the_object(tmp_path: Path) -> None:
    def answer(request: Tree) -> Tree:
        seen = request["object"]["metadata"].get("annotations") or {}
        return patching({"op": "add", "path": "/metadata/annotations", "value": {**seen, "n": str(len(seen))}})

    async with hooked(tmp_path, answer) as world:
        world.register("a", mutating=True, reinvocationPolicy="IfNeeded")
        world.register("b", mutating=True)
        await _mutated(world, a_request(a_pod()))
        assert len(world.server.asked) == 3


@pytest.mark.parametrize(
    ("answer", "code", "text"),
    [
        (
            {"allowed": False, "status": {"code": 403, "reason": "Forbidden", "message": "no pods today"}},
            403,
            'admission webhook "hook.acme.com" denied the request: no pods today',
        ),
        (
            {"allowed": False, "status": {"message": "bad"}},
            400,
            'admission webhook "hook.acme.com" denied the request: bad',
        ),
        ({"allowed": False}, 400, 'admission webhook "hook.acme.com" denied the request without explanation'),
    ],
)
@pytest.mark.parametrize("mutating", [True, False])
async def test_a_refusal_is_told_in_the_webhooks_words(tmp_path: Path, answer, code, text, mutating) -> None:
    error = await refused(tmp_path, lambda _: answer, mutating=mutating)
    assert (error.to_status()["code"], error.message) == (code, text)


async def test_a_delete_can_be_refused(tmp_path: Path) -> None:
    async with hooked(tmp_path, lambda _: {"allowed": False}) as world:
        world.register(mutating=True)
        with pytest.raises(BadRequest, match="denied the request"):
            await world.admit(a_request(None, operation="DELETE", old=a_pod()))


@pytest.mark.parametrize(
    ("answer", "more", "text"),
    [
        (None, {"timeoutSeconds": 0.1}, "context deadline exceeded"),
        (b"nonsense", {}, "failed to call webhook: couldn't get version/kind; json parse error"),
        (b"x" * (3 * 1024 * 1024 + 1), {}, "the answer is longer than 3145728 bytes"),
        ({"allowed": True, "uid": "other"}, {}, "received invalid webhook response: expected response.uid="),
        (
            None,
            {"clientConfig": {"url": "https://127.0.0.1:1/x"}},
            'failed to call webhook: Post "https://127.0.0.1:1/x',
        ),
        (
            None,
            {"clientConfig": {"url": "https://127.0.0.1:99999/x"}},
            "dial tcp: address 99999: invalid port",
        ),
        (None, {"clientConfig": {"url": "https://["}}, 'failed to call webhook: Post "https://['),
        (
            None,
            {"clientConfig": {"service": {"name": "ghost", "namespace": "team"}}},
            'failed to call webhook: Post "https://ghost.team.svc:443/?timeout=10s": service "ghost" not found',
        ),
    ],
)
async def test_a_webhook_that_fails_fails_the_request(tmp_path: Path, answer, more, text: str) -> None:
    error = await refused(tmp_path, lambda _: answer, **more)
    assert isinstance(error, InternalError)
    assert error.message.startswith('Internal error occurred: failed calling webhook "hook.acme.com": ')
    assert text in error.message


async def test_a_webhook_that_fails_may_be_ignored(tmp_path: Path) -> None:
    async with hooked(tmp_path, lambda _: b"nonsense") as world:
        world.register(failurePolicy="Ignore")
        await world.admit(a_request(a_pod()))
        assert world.server.asked


async def test_a_stranger_cannot_answer_for_a_webhook(tmp_path: Path) -> None:
    async with hooked(tmp_path, allow) as world:
        world.register(clientConfig={"url": world.server.config["url"]})
        with pytest.raises(InternalError, match=r"(?i)certificate"):
            await world.admit(a_request(a_pod()))


async def test_a_service_is_found_by_its_endpoints_and_named_in_its_certificate(tmp_path: Path) -> None:
    async with hooked(tmp_path, allow) as world:
        service = {"metadata": {"name": "hook", "namespace": "team"}, "spec": {"ports": [{"port": 443}]}}
        world.storage.put(SERVICE, service)
        labels = {"kubernetes.io/service-name": "hook"}
        endpoints = {
            "metadata": {"name": "hook-1", "namespace": "team", "labels": labels},
            "ports": [{"port": world.server.port}],
            "endpoints": [{"addresses": ["127.0.0.1"], "conditions": {"ready": True}}],
        }
        world.storage.put(ENDPOINT_SLICE, endpoints)
        where = {"name": "hook", "namespace": "team", "path": "/review"}
        world.register(clientConfig={"service": where, "caBundle": world.server.ca_bundle})
        await world.admit(a_request(a_pod()))
        assert len(world.server.asked) == 1


@pytest.mark.parametrize(
    ("more", "asked"),
    [
        ({}, True),
        ({"rules": [PODS[0] | {"resources": ["services"]}]}, False),
        ({"rules": [PODS[0] | {"resources": ["*/*"]}]}, True),
        ({"rules": [PODS[0] | {"resources": ["pods/status"]}]}, False),
        ({"rules": [PODS[0] | {"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"]}]}, True),
        ({"rules": [PODS[0] | {"operations": ["UPDATE"]}]}, False),
        ({"rules": [PODS[0] | {"scope": "Cluster"}]}, False),
        ({"namespaceSelector": {"matchLabels": {"env": "prod"}}}, True),
        ({"namespaceSelector": {"matchLabels": {"env": "test"}}}, False),
        ({"objectSelector": {"matchLabels": {"app": "x"}}}, False),
        ({"rules": [PODS[0] | {"apiVersions": ["v1beta1"]}]}, True),
        ({"rules": [PODS[0] | {"apiVersions": ["v1beta1"]}], "matchPolicy": "Exact"}, False),
        ({"rules": [PODS[0] | {"apiVersions": ["v0"]}]}, False),
        ({"matchConditions": [{"name": "c", "expression": "request.userInfo.username == 'bob'"}]}, True),
        ({"matchConditions": [{"name": "c", "expression": "object.metadata.name != 'p'"}]}, False),
    ],
)
async def test_a_webhook_is_asked_only_of_what_it_is_for(tmp_path: Path, more: dict, asked: bool) -> None:
    async with hooked(tmp_path, allow) as world:
        world.register(**more)
        await world.admit(a_request(a_pod()))
        assert bool(world.server.asked) is asked


async def test_a_condition_that_cannot_be_judged_refuses_the_request(tmp_path: Path) -> None:
    condition = {"name": "c", "expression": "object.spec.ghost == 1"}
    error = await refused(tmp_path, allow, matchConditions=[condition])
    assert isinstance(error, Forbidden)
    assert "no such key: ghost" in error.message


async def test_a_dry_run_is_not_for_webhooks_with_side_effects(tmp_path: Path) -> None:
    error = await refused(tmp_path, allow, dry_run=True, sideEffects="Some")
    assert error.message == 'admission webhook "hook.acme.com" does not support dry run'


async def test_configurations_of_webhooks_are_never_asked_about(tmp_path: Path) -> None:
    rule = {"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"]}
    async with hooked(tmp_path, lambda _: {"allowed": False}) as world:
        world.register(rules=[rule])
        await world.admit(a_request({"metadata": {"name": "x"}}, VALIDATING_WEBHOOK_CONFIGURATION))
        assert not world.server.asked
