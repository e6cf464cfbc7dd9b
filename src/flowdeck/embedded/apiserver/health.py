"""`/livez`, `/healthz`, `/readyz`: that they answer is the first check.

Source: kubernetes/kubernetes (staging/src/k8s.io/apiserver/pkg/server/healthz)
"""

from collections.abc import Awaitable, Callable, Mapping

import structlog

from flowdeck.embedded.apiserver.contract import Answer, Handler, RequestInfo

Check = Callable[[], Awaitable[Mapping[str, str]]]
"""What is missing, with why. Everybody may ask for health, so the reasons are for the log alone."""

log = structlog.get_logger()


async def all_is_well() -> Mapping[str, str]:
    return {}


def routes(check: Check) -> Mapping[str, Handler]:
    """The handlers, by path."""

    async def ready(info: RequestInfo) -> Answer:
        failures = await check()
        for name, why in failures.items():
            log.warning("not ready", check=name, error=why)
        return _answer(info, failures)

    async def healthy(info: RequestInfo) -> Answer:
        return _answer(info, {})

    return {"/livez": healthy, "/healthz": healthy, "/readyz": ready}


def _answer(info: RequestInfo, failures: Mapping[str, str]) -> Answer:
    """In upstream's words: with `?verbose`, or where something failed, check by check."""
    name = info.path.strip("/")
    if not failures and "verbose" not in info.query:
        return _plain("ok")
    lines = ["[+]ping ok", *(f"[-]{failed} failed: reason withheld" for failed in failures)]
    lines.append(f"{name} check {'failed' if failures else 'passed'}")
    return _plain("\n".join(lines) + "\n", 500 if failures else 200)


def _plain(text: str, code: int = 200) -> Answer:
    return Answer(raw=text.encode(), code=code, content_type="text/plain; charset=utf-8")
