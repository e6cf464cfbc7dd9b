"""What training code is answered when it reports its progress: every row of the server's table, over HTTPS."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from flowdeck.components.base import Front
from flowdeck.components.training.progress_server import ProgressServer, certificates_in
from flowdeck.components.training.settings import TrainingSettings
from flowdeck.components.training.types import TRAIN_JOB
from flowdeck.embedded.apiserver import pki
from flowdeck.kube.kinds import SERVICE_ACCOUNT
from flowdeck.kube.objects import ObjectKey, Tree
from tests.components.training.makers import a_train_job
from tests.world.world import World

PATH = "/apis/trainer.kubeflow.org/v1alpha1/namespaces/default/trainjobs/train/status"
AUDIENCE = PATH.removeprefix("/apis/")
GOOD = {
    "progressPercentage": 40,
    "lastUpdatedTime": "2026-01-01T00:00:00Z",
    "metrics": [{"name": "loss", "value": "0.1"}],
}


@dataclass
class Reporter:
    """Training code in a pod."""

    world: World
    http: httpx.AsyncClient
    published: list[tuple[Front, str, int]]
    """What the server said of where it listens."""

    async def token(self, *, audience: str = AUDIENCE, namespace: str = "default", seconds: int = 3600) -> str:
        request = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"audiences": [audience], "expirationSeconds": seconds},
        }
        made = await self.world.client.create_sub(SERVICE_ACCOUNT, ObjectKey(namespace, "trainer"), "token", request)
        return str(made["status"]["token"])

    async def post(
        self, body: Any = None, *, token: str | None = None, scheme: str = "Bearer", path: str = PATH, **how: Any
    ) -> httpx.Response:
        token = await self.token() if token is None else token
        headers = {"Authorization": f"{scheme} {token}"} if token else {}
        method = how.pop("method", "POST")
        if body is not None:
            how["json"] = body
        return await self.http.request(method, path, headers=headers, **how)

    async def stored(self) -> Tree | None:
        job = await self.world.get(TRAIN_JOB, "train")
        status: Tree | None = (job.get("status") or {}).get("trainerStatus")
        return status


@pytest.fixture
async def reporter(world: World, tmp_path: Any) -> AsyncIterator[Reporter]:
    keys = pki.prepare(tmp_path / "pki", node="node", now=world.clock.now())
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = TrainingSettings(
        progress_port=port, tls_certificate=keys.server, tls_key=keys.server, tls_authority=keys.ca
    )
    told: list[tuple[Front, str, int]] = []

    listens = asyncio.Event()

    async def publish(front: Front, host: str, port: int) -> None:
        told.append((front, host, port))
        listens.set()

    server = ProgressServer(client=world.client, clock=world.clock, settings=settings, publish=publish)
    serving = asyncio.create_task(server.run())
    for name in ("default", "other"):
        if name != "default":
            await world.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "trainer", "namespace": name}}
        await world.create(account)
    job = a_train_job()
    del job["metadata"]["uid"], job["metadata"]["creationTimestamp"]
    await world.create(job)
    await world.settle()
    tls = ssl.create_default_context(cadata=certificates_in(keys.ca))
    async with httpx.AsyncClient(base_url=f"https://127.0.0.1:{port}", verify=tls) as http:
        async with asyncio.timeout(5):
            await listens.wait()
        yield Reporter(world, http, told)
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)


def told(answer: httpx.Response) -> tuple[int, str, str]:
    status = answer.json()
    assert status["kind"] == "Status"
    assert status["status"] == "Failure"
    assert status["code"] == answer.status_code
    return answer.status_code, status["reason"], status["message"]


FORBIDDEN = (403, "Forbidden", "Forbidden")


async def test_a_report_is_stored_and_echoed(reporter: Reporter) -> None:
    answer = await reporter.post({"trainerStatus": GOOD})
    assert (answer.status_code, answer.json()) == (200, {"trainerStatus": GOOD})
    assert await reporter.stored() == GOOD


async def test_each_report_replaces_the_whole_of_the_last(reporter: Reporter) -> None:
    await reporter.post({"trainerStatus": GOOD})
    less = {"lastUpdatedTime": "2026-01-01T00:00:05Z"}
    await reporter.post({"trainerStatus": less})
    assert await reporter.stored() == less


async def test_a_report_belongs_to_the_field_manager_trainer_status(reporter: Reporter) -> None:
    await reporter.post({"trainerStatus": GOOD})
    job = await reporter.world.get(TRAIN_JOB, "train")
    assert ("trainer-status", "Apply", "status") in {
        (entry["manager"], entry["operation"], entry.get("subresource")) for entry in job["metadata"]["managedFields"]
    }


async def test_a_report_without_trainer_status_is_echoed_and_not_stored(reporter: Reporter) -> None:
    answer = await reporter.post({"somethingElse": 1})
    assert (answer.status_code, answer.json()) == (200, {"somethingElse": 1})
    assert await reporter.stored() is None


async def test_the_scheme_is_case_insensitive(reporter: Reporter) -> None:
    assert (await reporter.post({"trainerStatus": GOOD}, scheme="bEaReR")).status_code == 200


async def test_without_a_good_token_it_is_forbidden(reporter: Reporter) -> None:
    assert told(await reporter.post({"trainerStatus": GOOD}, token="")) == FORBIDDEN
    assert told(await reporter.post({"trainerStatus": GOOD}, token="nonsense")) == FORBIDDEN
    assert told(await reporter.post({"trainerStatus": GOOD}, scheme="Basic")) == FORBIDDEN
    foreign = await reporter.token(audience=AUDIENCE.replace("train/", "another/"))
    assert told(await reporter.post({"trainerStatus": GOOD}, token=foreign)) == FORBIDDEN
    elsewhere = await reporter.token(namespace="other")
    assert told(await reporter.post({"trainerStatus": GOOD}, token=elsewhere)) == FORBIDDEN
    assert await reporter.stored() is None


async def test_an_expired_token_is_forbidden(reporter: Reporter) -> None:
    token = await reporter.token(seconds=600)
    assert (await reporter.post({"trainerStatus": GOOD}, token=token)).status_code == 200
    reporter.world.clock.advance(3600)
    assert told(await reporter.post({"trainerStatus": GOOD}, token=token)) == FORBIDDEN


async def test_a_big_body_is_refused(reporter: Reporter) -> None:
    answer = await reporter.post(content=b" " * (64 * 1024 + 1))
    assert told(answer) == (413, "RequestEntityTooLarge", "Payload too large")


@pytest.mark.parametrize("content", [b"{", b"", b"[]", b"1"])
async def test_what_is_no_json_object_is_refused(reporter: Reporter, content: bytes) -> None:
    assert told(await reporter.post(content=content)) == (422, "Invalid", "Invalid payload")


@pytest.mark.parametrize(
    ("wrong", "fragment"),
    [
        pytest.param({"progressPercentage": 101}, "progressPercentage", id="over-100"),
        pytest.param({"progressPercentage": -1}, "progressPercentage", id="below-0"),
        pytest.param({"progressPercentage": "many"}, "progressPercentage", id="no-number"),
        pytest.param({"metrics": [{"name": "m", "value": "1"}] * 257}, "metrics", id="257-metrics"),
        pytest.param({"metrics": [{"name": "", "value": "1"}]}, "name", id="a-metric-without-name"),
        pytest.param({"lastUpdatedTime": None}, "lastUpdatedTime", id="no-time"),
    ],
)
async def test_what_breaks_the_schema_is_refused_in_the_api_s_words(
    reporter: Reporter, wrong: Tree, fragment: str
) -> None:
    status = {name: value for name, value in (GOOD | wrong).items() if value is not None}
    code, reason, message = told(await reporter.post({"trainerStatus": status}))
    assert (code, reason) == (422, "Invalid")
    assert fragment in message
    assert await reporter.stored() is None


async def test_a_missing_train_job_is_told(reporter: Reporter) -> None:
    path = PATH.replace("/train/", "/gone/")
    token = await reporter.token(audience=path.removeprefix("/apis/"))
    answer = await reporter.post({"trainerStatus": GOOD}, token=token, path=path)
    assert told(answer) == (404, "NotFound", "Train job not found")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", PATH),
        ("PUT", PATH),
        ("POST", "/"),
        ("POST", PATH + "/"),
        ("POST", PATH.replace("v1alpha1", "v1")),
        ("POST", PATH.removesuffix("/status")),
    ],
)
async def test_other_paths_and_methods_are_not_found(reporter: Reporter, method: str, path: str) -> None:
    answer = await reporter.post({"trainerStatus": GOOD}, method=method, path=path)
    assert told(answer) == (404, "NotFound", "Not found")


def test_only_certificates_leave_a_pem_file_that_holds_a_key_too(tmp_path: Any) -> None:
    file = tmp_path / "both.pem"
    certificate = "-----BEGIN CERTIFICATE-----\nQQ==\n-----END CERTIFICATE-----\n"
    file.write_text(f"{certificate}-----BEGIN PRIVATE KEY-----\nQg==\n-----END PRIVATE KEY-----\n{certificate}")
    assert certificates_in(file) == certificate * 2


async def test_the_server_publishes_where_it_listens(reporter: Reporter) -> None:
    ((front, host, port),) = reporter.published
    assert (front.namespace, front.name, front.port) == (
        "kubeflow-system",
        "kubeflow-trainer-controller-manager",
        10443,
    )
    assert (host, port) == ("127.0.0.1", reporter.http.base_url.port)
