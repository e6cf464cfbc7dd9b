"""Whether an operator is ready: with certificates, and with what its components keep their state in."""

from collections.abc import Mapping
from typing import Any

import pytest

from flowdeck.cluster.health import Health, HealthApp


async def ask(app: HealthApp, path: str) -> tuple[int, str]:
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        sent.append(message)

    await app({"type": "http", "path": path}, receive, send)
    return sent[0]["status"], sent[1]["body"].decode()


@pytest.mark.parametrize(
    ("has_certificates", "failures", "answer"),
    [
        (False, {}, (503, "not ready: waiting for certificates\n")),
        (True, {}, (200, "ok\n")),
        (True, {"database": "secret"}, (503, "not ready: waiting for database\n")),
        (True, {"database": "secret", "artifacts": "x"}, (503, "not ready: waiting for database and artifacts\n")),
    ],
)
async def test_it_is_ready_once_it_has_all_that_it_needs(
    has_certificates: bool, failures: Mapping[str, str], answer: tuple[int, str]
) -> None:
    async def check() -> Mapping[str, str]:
        return failures

    app = HealthApp(Health(is_ready=has_certificates), check)
    assert await ask(app, "/readyz") == answer
    assert await ask(app, "/healthz") == (200, "ok\n")
