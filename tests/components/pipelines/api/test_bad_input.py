"""Whatever is sent to whichever call: the answer is an error in words, and never that the server has failed."""

import json
import re
from typing import Any

import httpx
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.components.pipelines.api.served import DOCUMENT, Served

ODD_NAMES = ("x", "\x00", "ü%2F..", "a" * 5000, "..", "-1", "\ud7ff", "null")
ODD_QUERIES = (
    {"page_size": "-1"},
    {"page_size": "x"},
    {"page_size": "9" * 400},
    {"page_token": "e30="},
    {"page_token": "\x00"},
    {"page_token": "W10="},
    {"sort_by": "nothing"},
    {"sort_by": "id desc, name"},
    {"sort_by": "\x00 desc"},
    {"filter": "{"},
    {"filter": '{"predicates": 1}'},
    {"filter": "[" * 10_000},
    {"filter": '{"predicates":[{"key":"id","operation":"EQUALS","string_value":"\\u0000"}]}'},
    {"filter": '{"predicates":[{"key":"created_at","operation":1,"long_value":"99999999999999999999"}]}'},
    {"filter": '{"predicates":[{"key":"created_at","operation":3,"timestamp_value":"9999-12-31T23:59:59Z"}]}'},
    {"namespace": "\x00"},
    {"namespace": "a" * 5000},
    {"experiment_id": "\x00"},
    {"view": "\x00"},
    {"tags": "[]", "name": "\x00"},
    {"cascade": "perhaps"},
)
ODD_BODIES = (b"", b"null", b"[]", b"1", b'"x"', b"{", b"\xff\xfe", b"[" * 10_000, b'{"a": 1}', b'{"display_name": {}}')


def calls(served: Served) -> list[tuple[str, str]]:
    """Method and path of every call, a name in each place of its path."""
    return [(route.method, route.path) for route in served.routes]


def at(path: str, name: str) -> httpx.URL:
    """The path with that name in it, however odd it is."""
    quoted = httpx.URL("http://pipelines/", params={"x": name}).query.decode().removeprefix("x=").replace("+", "%20")
    return httpx.URL("http://pipelines" + re.sub(r"\{\w+\}", lambda _: quoted, path))


def is_told(answer: httpx.Response) -> bool:
    """Whether the answer is one of a server that works; there is nobody to draw, which is 503."""
    return answer.status_code < 500 or "/visualizations/" in str(answer.request.url)


async def test_odd_names(served: Served) -> None:
    async with served.client() as client:
        for method, path in calls(served):
            for name in ODD_NAMES if "{" in path else ():
                answer = await client.request(method, at(path, name), json={})
                assert is_told(answer), (method, path, name, answer.text)


async def test_odd_queries(served: Served) -> None:
    async with served.client() as client:
        for method, path in calls(served):
            for query in ODD_QUERIES:
                answer = await client.request(method, at(path, "x"), params=query)
                assert is_told(answer), (method, path, query, answer.text)


async def test_odd_bodies(served: Served) -> None:
    async with served.client() as client:
        for method, path in calls(served):
            for body in ODD_BODIES if method in ("POST", "PATCH") else ():
                answer = await client.request(method, at(path, "x"), content=body)
                assert is_told(answer), (method, path, body, answer.text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
FIELDS = (
    "display_name", "name", "description", "experiment_id", "run_id", "pipeline_id", "pipeline_version_id", "namespace",
    "pipeline_spec", "pipeline_version_reference", "pipeline_version", "pipeline", "package_url", "runtime_config",
    "service_account", "tags", "trigger", "max_concurrency", "mode", "no_catchup", "plugins_input", "task_id",
    "artifact", "artifacts", "artifact_tasks", "start_time", "end_time", "cache_fingerprint", "type", "key", "producer",
)  # fmt: skip
GOOD: dict[str, Any] = {
    "display_name": "x",
    "name": "x",
    "pipeline_spec": DOCUMENT,
    "pipeline": {"name": "x"},
    "pipeline_version": {"pipeline_spec": DOCUMENT},
    "runtime_config": {"parameters": {}},
    "trigger": {"cron_schedule": {"cron": "0 0 * * * *"}},
    "max_concurrency": "1",
    "mode": "ENABLE",
}


async def test_fields_of_wrong_types(served: Served) -> None:
    takers = [(method, path) for method, path in calls(served) if method in ("POST", "PATCH")]
    async with served.client() as client:
        for number, odd in enumerate(odd_bodies()):
            method, path = takers[number % len(takers)]
            body = json.dumps({**{key: GOOD[key] for key in GOOD if number % 3 or key in odd}, **odd})
            answer = await client.request(method, at(path, "x"), content=body.encode())
            assert is_told(answer), (method, path, body, answer.text)


def odd_bodies() -> list[dict[str, Any]]:
    """The same ones each time."""
    found: list[dict[str, Any]] = []

    @settings(max_examples=600, deadline=None, derandomize=True, database=None)
    @given(st.dictionaries(st.sampled_from(FIELDS), JSON, min_size=1, max_size=4))
    def take(odd: dict[str, Any]) -> None:
        found.append(odd)

    take()
    return found
