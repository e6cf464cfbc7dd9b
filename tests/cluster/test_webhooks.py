"""AdmissionReviews in, verdicts out: the same rules as in the embedded API server."""

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from flowdeck.client.base import Reader
from flowdeck.clock import Clock
from flowdeck.cluster.webhooks import WebhookApp, patch_between
from flowdeck.controller.admission import AdmissionRule, Review
from flowdeck.kube import patches
from flowdeck.kube.errors import ServiceUnavailable
from flowdeck.kube.kinds import CONFIG_MAP
from flowdeck.kube.objects import Tree
from tests.world.world import World


async def review(obj: Tree, old: Tree | None, *, reader: Reader, clock: Clock) -> Review:
    """Does what the object asks for."""
    match obj["data"]:
        case {"wish": "refuse"}:
            return Review(obj=obj, errors=["data.wish: no", "data.more: no"], warnings=["beware"])
        case {"wish": "change"}:
            obj["data"]["was"] = (old or {}).get("data", {}).get("wish", "nothing")
            obj["immutable"] = True
        case {"wish": "break"}:
            raise ServiceUnavailable("the API server is away")
    return Review(obj=obj)


def a_rule(phase: Any) -> AdmissionRule:
    return AdmissionRule(
        name=f"{phase}.test", configuration="test", path=f"/{phase}", kind=CONFIG_MAP, phase=phase, review=review
    )


@pytest.fixture
async def http(world: World) -> AsyncIterator[httpx.AsyncClient]:
    app = WebhookApp([a_rule("mutate"), a_rule("validate")], world.client, world.clock)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:  # type: ignore[arg-type]
        yield client


def a_review(wish: str, old: str = "", **request: Any) -> Tree:
    obj = {"metadata": {"name": "a"}, "data": {"wish": wish}}
    before = {"metadata": {"name": "a"}, "data": {"wish": old}} if old else None
    asked = {"uid": "u-1", "operation": "CREATE", "object": obj, "oldObject": before} | request
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": asked}


async def ask(http: httpx.AsyncClient, path: str, review: Tree) -> Tree:
    answer = await http.post(path, json=review)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert (told["apiVersion"], told["kind"]) == ("admission.k8s.io/v1", "AdmissionReview")
    assert told["response"].pop("uid") == "u-1"
    return dict(told["response"])


async def test_what_is_well_is_allowed(http: httpx.AsyncClient) -> None:
    assert await ask(http, "/validate", a_review("nothing")) == {"allowed": True}
    assert await ask(http, "/mutate", a_review("nothing")) == {"allowed": True}


async def test_a_refusal_says_why(http: httpx.AsyncClient) -> None:
    response = await ask(http, "/validate", a_review("refuse"))
    assert response["allowed"] is False
    assert response["warnings"] == ["beware"]
    status = response["status"]
    assert (status["code"], status["reason"]) == (403, "Forbidden")
    assert status["message"] == "data.wish: no, data.more: no"


async def test_a_change_comes_as_a_json_patch(http: httpx.AsyncClient) -> None:
    review = a_review("change", old="before")
    response = await ask(http, "/mutate", review)
    assert response["patchType"] == "JSONPatch"
    patched = patches.apply_json_patch(review["request"]["object"], json.loads(base64.b64decode(response["patch"])))
    assert (patched["data"], patched["immutable"]) == ({"wish": "change", "was": "before"}, True)


async def test_a_delete_is_reviewed_with_what_is_about_to_go(http: httpx.AsyncClient) -> None:
    review = a_review("unused", old="refuse", operation="DELETE", object=None)
    assert (await ask(http, "/validate", review))["allowed"] is False


async def test_who_cannot_decide_says_so_and_lets_the_failure_policy_speak(http: httpx.AsyncClient) -> None:
    answer = await http.post("/validate", json=a_review("break"))
    assert answer.status_code == 500
    assert "the API server is away" in answer.text


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        pytest.param("/elsewhere", b"{}", 404, id="no-rule"),
        pytest.param("/validate", b"[", 400, id="no-json"),
        pytest.param("/validate", b'{"kind": "Pod"}', 400, id="no-review"),
        pytest.param("/validate", b'{"kind": "AdmissionReview", "request": {"uid": "u"}}', 400, id="no-object"),
        pytest.param("/validate", b" " * (8 * 1024 * 1024), 400, id="too-long"),
    ],
)
async def test_what_is_no_review_is_refused(http: httpx.AsyncClient, path: str, body: bytes, code: int) -> None:
    assert (await http.post(path, content=body)).status_code == code


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"a": 1}, {"a": 1}),
        ({"a": 1, "b": 2}, {"b": 3, "c/d~e": 4}),
        ({}, {"spec": {"deep": [1]}}),
    ],
)
def test_a_patch_leads_from_one_to_the_other(before: Tree, after: Tree) -> None:
    assert patches.apply_json_patch(before, patch_between(before, after)) == after
