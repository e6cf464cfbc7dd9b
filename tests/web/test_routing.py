"""A surface refuses what its table does not allow, and tells each error in its own form."""

from collections.abc import Mapping, Sequence

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp

from flowdeck.kube.errors import Forbidden, NotFound
from flowdeck.web import bodies
from flowdeck.web.identity import Access, HeaderIdentity, User
from flowdeck.web.routing import Door, Needs, Open, Route, SignedIn, application
from flowdeck.web.rpc_errors import Aborted, rpc_error


class OnlyAnna:
    async def check(self, user: User, access: Access) -> None:
        if user.name != "anna" or access.namespace == "secret":
            raise Forbidden(f"User '{user.name}' is not authorized with reason: no rule")


async def namespace_in_query(request: Request) -> str:
    return request.query_params.get("namespace", "")


async def hello(request: Request) -> Response:
    return JSONResponse({"hello": request.path_params.get("name", "")})


async def echo(request: Request) -> Response:
    return JSONResponse({"size": len(await bodies.raw(request, limit=10)), "again": len(await bodies.raw(request))})


async def typed(request: Request) -> Response:
    return JSONResponse(await bodies.decoded(request, dict[str, int]))


async def busy(request: Request) -> Response:
    raise Aborted("it is being retried")


async def broken(request: Request) -> Response:
    raise RuntimeError("password=hunter2")


def a_surface(extra: Sequence[Route] = ()) -> ASGIApp:
    door = Door(HeaderIdentity("kubeflow-userid"), OnlyAnna(), "pipelines.kubeflow.org", "v1beta1")
    table = [
        Route("GET", "/healthz", hello, Open()),
        Route("GET", "/runs/{name}", hello, Needs("get", "runs", namespace_in_query)),
        Route("POST", "/runs/{name}:archive", hello, SignedIn()),
        Route("POST", "/echo", echo, Open()),
        Route("POST", "/typed", typed, Open()),
        Route("GET", "/busy", busy, Open()),
        Route("GET", "/broken", broken, Open()),
    ]
    return application([*table, *extra], door, rpc_error)


async def ask(method: str, url: str, headers: Mapping[str, str] = {}, content: bytes | None = None) -> httpx.Response:
    transport = httpx.ASGITransport(a_surface())
    async with httpx.AsyncClient(transport=transport, base_url="http://surface") as client:
        return await client.request(method, url, headers=dict(headers), content=content)


ANNA = {"kubeflow-userid": "anna"}


@pytest.mark.parametrize(
    ("method", "url", "headers", "content", "code", "rpc_code"),
    [
        pytest.param("GET", "/healthz", {}, None, 200, None, id="open-to-everybody"),
        pytest.param("GET", "/runs/x", {}, None, 401, 16, id="nobody"),
        pytest.param("GET", "/runs/x", ANNA, None, 200, None, id="who-may"),
        pytest.param("GET", "/runs/x", {"kubeflow-userid": "bob"}, None, 403, 7, id="who-may-not"),
        pytest.param("GET", "/runs/x?namespace=secret", ANNA, None, 403, 7, id="another-namespace"),
        pytest.param("POST", "/runs/x:archive", ANNA, None, 200, None, id="a-verb-behind-a-colon"),
        pytest.param("GET", "/runs/x:archive", ANNA, None, 405, 12, id="the-verb-needs-its-method"),
        pytest.param("DELETE", "/runs/x", ANNA, None, 405, 12, id="no-such-method"),
        pytest.param("GET", "/nothing", ANNA, None, 404, 5, id="no-such-path"),
        pytest.param("GET", "/healthz/", ANNA, None, 404, 5, id="no-redirects"),
        pytest.param("POST", "/echo", {}, b"0123456789", 200, None, id="body-at-the-limit"),
        pytest.param("POST", "/echo", {}, b"0123456789x", 413, 8, id="body-over-the-limit"),
        pytest.param("POST", "/typed", {}, b'{"a": 1}', 200, None, id="typed-body"),
        pytest.param("POST", "/typed", {}, b'{"a": "x"}', 400, 3, id="wrong-type"),
        pytest.param("POST", "/typed", {}, b"{", 400, 3, id="not-json"),
        pytest.param("POST", "/typed", {}, b"", 400, 3, id="no-body"),
        pytest.param("GET", "/busy", {}, None, 409, 10, id="aborted"),
    ],
)
async def test_a_request_is_answered_by_the_table(
    method: str, url: str, headers: Mapping[str, str], content: bytes | None, code: int, rpc_code: int | None
) -> None:
    answer = await ask(method, url, headers, content)
    assert answer.status_code == code
    if rpc_code is not None:
        body = answer.json()
        assert body["code"] == rpc_code
        assert body["details"] == [
            {"@type": "type.googleapis.com/google.rpc.Status", "code": rpc_code, "message": body["message"]}
        ]


async def test_a_fault_of_ours_is_logged_and_not_told(capsys: pytest.CaptureFixture[str]) -> None:
    answer = await ask("GET", "/broken")
    assert answer.status_code == 500
    assert answer.json()["code"] == 13
    assert "hunter2" not in answer.text
    assert "hunter2" in capsys.readouterr().out


async def test_the_rule_is_asked_before_the_handler() -> None:
    reached = []

    async def handler(request: Request) -> Response:
        reached.append(request)
        raise NotFound("never")

    door = Door(HeaderIdentity("kubeflow-userid"), OnlyAnna(), "g", "v1")
    app = application([Route("GET", "/x", handler, Needs("get", "runs"))], door, rpc_error)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://surface") as client:
        assert (await client.get("/x")).status_code == 401
    assert reached == []


async def test_nobody_is_told_what_there_is() -> None:
    async def namespace_of_what_is_not_there(request: Request) -> str:
        raise NotFound("there is no such run")

    door = Door(HeaderIdentity("kubeflow-userid"), OnlyAnna(), "g", "v1")
    app = application(
        [Route("GET", "/x", hello, Needs("get", "runs", namespace_of_what_is_not_there))], door, rpc_error
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://surface") as client:
        assert (await client.get("/x")).status_code == 401
        assert (await client.get("/x", headers=ANNA)).status_code == 404
