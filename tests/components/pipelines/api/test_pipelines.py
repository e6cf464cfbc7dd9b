"""Pipelines and versions, as clients of the REST wire and of kubectl see them."""

import io
import json
import zipfile
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import yaml

from flowdeck.components.pipelines.kinds import PIPELINE, PIPELINE_VERSION
from flowdeck.kube.errors import Forbidden
from flowdeck.kube.objects import ObjectKey, uid_of
from flowdeck.sql.database import Database
from tests.components.pipelines.api.conftest import http
from tests.world.world import World

SPEC: dict[str, Any] = {
    "pipelineInfo": {"name": "hello"},
    "schemaVersion": "2.1.0",
    "sdkVersion": "kfp-2.17.3",
    "root": {"dag": {"tasks": {"say": {"componentRef": {"name": "comp-say"}, "taskInfo": {"name": "say"}}}}},
    "components": {"comp-say": {"executorLabel": "exec-say"}},
    "deploymentSpec": {"executors": {"exec-say": {"container": {"image": "python:3.11", "command": ["true"]}}}},
}


async def upload(
    api: httpx.AsyncClient, content: bytes = b"", *, file_name: str = "hello.yaml", path: str = "upload", **query: str
) -> httpx.Response:
    files = {"uploadfile": (file_name, content or yaml.safe_dump(SPEC).encode())}
    return await api.post(f"/pipelines/{path}", files=files, params=query)


async def test_an_upload_makes_a_pipeline_and_a_version_of_the_same_name(api: httpx.AsyncClient) -> None:
    pipeline = (await upload(api, name="first", description="says hello", tags='{"team": "a"}')).json()
    assert {key: pipeline[key] for key in ("name", "display_name", "description", "tags")} == {
        "name": "first",
        "display_name": "first",
        "description": "says hello",
        "tags": {"team": "a"},
    }
    assert "namespace" not in pipeline
    versions = (await api.get(f"/pipelines/{pipeline['pipeline_id']}/versions")).json()
    assert versions["total_size"] == 1
    (version,) = versions["pipeline_versions"]
    assert version["name"] == "first"
    assert version["pipeline_id"] == pipeline["pipeline_id"]
    assert version["pipeline_spec"] == SPEC
    path = f"/pipelines/{pipeline['pipeline_id']}/versions/{version['pipeline_version_id']}"
    assert (await api.get(path)).json() == version


async def test_the_file_name_is_the_name_when_none_is_given(api: httpx.AsyncClient) -> None:
    assert (await upload(api, file_name="digits.yaml")).json()["name"] == "digits.yaml"


async def test_names_are_free_text_and_unique(api: httpx.AsyncClient, world: World) -> None:
    name = "Größe & Gewicht / v2"
    pipeline = (await upload(api, name=name)).json()
    assert pipeline["name"] == name
    again = await upload(api, name=name)
    assert again.status_code == 409
    assert "already exist" in again.json()["error_message"]
    found = await api.get("/pipelines/names/plain")
    assert found.status_code == 404
    await upload(api, name="plain")
    assert (await api.get("/pipelines/names/plain")).json()["name"] == "plain"
    assert len((await world.client.list(PIPELINE, namespace="kubeflow")).items) == 2


async def test_names_may_be_as_long_as_the_wire_has_them(api: httpx.AsyncClient) -> None:
    made = (await upload(api, name="n" * 128)).json()
    assert made["name"] == "n" * 128
    longer = await upload(api, path="upload_version", name="v" * 127, pipelineid=made["pipeline_id"])
    assert longer.json()["name"] == "v" * 127
    versions = (await api.get(f"/pipelines/{made['pipeline_id']}/versions")).json()["pipeline_versions"]
    assert len(versions) == 2


async def test_versions_are_added_by_upload_and_by_their_document(api: httpx.AsyncClient) -> None:
    pipeline_id = (await upload(api, name="first")).json()["pipeline_id"]
    second = await upload(api, path="upload_version", name="second", pipelineid=pipeline_id)
    assert second.status_code == 200
    assert (await upload(api, path="upload_version", name="second", pipelineid=pipeline_id)).status_code == 409
    assert (await upload(api, path="upload_version", name="third")).status_code == 400
    body = {"pipeline_id": pipeline_id, "name": "third", "pipeline_spec": SPEC}
    assert (await api.post(f"/pipelines/{pipeline_id}/versions", json=body)).status_code == 200
    listed = (await api.get(f"/pipelines/{pipeline_id}/versions", params={"sort_by": "name desc"})).json()
    assert [version["name"] for version in listed["pipeline_versions"]] == ["third", "second", "first"]


@pytest.mark.parametrize(
    ("content", "file_name"),
    [
        pytest.param(b" ", "a.yaml", id="empty"),
        pytest.param(b"PK\x03\x04rubbish", "a.zip", id="broken-zip"),
        pytest.param(b"\x89PNG\r\n", "a.png", id="picture"),
        pytest.param(b"a: [", "a.yaml", id="no-yaml"),
        pytest.param(yaml.safe_dump({**SPEC, "schemaVersion": "2.0.0"}).encode(), "a.yaml", id="old-schema"),
        pytest.param(yaml.safe_dump({**SPEC, "components": {}}).encode(), "a.yaml", id="missing-component"),
    ],
)
async def test_a_bad_file_is_refused_and_leaves_nothing(api: httpx.AsyncClient, content: bytes, file_name: str) -> None:
    answer = await upload(api, content, file_name=file_name, name="bad")
    assert answer.status_code == 400
    assert set(answer.json()) == {"error_message", "error_details"}
    assert (await api.get("/pipelines")).json() == {}


async def test_a_zip_is_taken(api: httpx.AsyncClient) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("pipeline.yaml", yaml.safe_dump(SPEC))
    assert (await upload(api, packed.getvalue(), file_name="a.zip", name="zipped")).status_code == 200


async def test_a_form_without_a_file_is_refused(api: httpx.AsyncClient) -> None:
    assert (await api.post("/pipelines/upload", data={"uploadfile": "text"})).status_code == 400
    assert (await api.post("/pipelines/upload", content=b"x")).status_code == 400


async def test_changes_touch_display_name_and_tags_alone(api: httpx.AsyncClient) -> None:
    pipeline_id = (await upload(api, name="first", tags='{"a": "1", "b": "2"}')).json()["pipeline_id"]
    path = f"/pipelines/{pipeline_id}"
    changed = (await api.patch(path, json={"display_name": "First!", "name": "other"})).json()
    assert (changed["name"], changed["display_name"], changed["tags"]) == ("first", "First!", {"a": "1", "b": "2"})
    assert (await api.patch(path, json={"tags": {"b": "3"}})).json()["tags"] == {"b": "3"}
    assert "tags" not in (await api.patch(path, json={"tags": {}})).json()
    assert (await api.patch(path, json={"tags": {"a.b": "1"}})).status_code == 400


async def test_a_pipeline_with_versions_goes_by_cascade_only(api: httpx.AsyncClient, world: World) -> None:
    pipeline_id = (await upload(api, name="first")).json()["pipeline_id"]
    refused = await api.delete(f"/pipelines/{pipeline_id}")
    assert (refused.status_code, refused.json()["code"]) == (400, 9)
    assert (await api.delete(f"/pipelines/{pipeline_id}", params={"cascade": "true"})).json() == {}
    gone = await api.get(f"/pipelines/{pipeline_id}")
    assert (gone.status_code, gone.json()["code"]) == (404, 5)
    assert "not found" in gone.json()["message"]


async def test_lists_are_paged_filtered_and_sorted(api: httpx.AsyncClient) -> None:
    for number in range(45):
        await api.post("/pipelines", json={"name": f"p{number:02}", "tags": {"parity": str(number % 2)}})
    seen: list[str] = []
    token = ""
    while True:
        page = (await api.get("/pipelines", params={"page_size": "20", "sort_by": "name", "page_token": token})).json()
        assert page["total_size"] == 45
        seen += [pipeline["name"] for pipeline in page["pipelines"]]
        token = page.get("next_page_token", "")
        if not token:
            break
    assert seen == [f"p{number:02}" for number in range(45)]

    def filtered(**predicate: Any) -> dict[str, str]:
        return {"filter": json.dumps({"predicates": [predicate]}), "page_size": "200"}

    odd = (await api.get("/pipelines", params=filtered(operation=1, key="tags.parity", stringValue="1"))).json()
    assert odd["total_size"] == 22
    some = (await api.get("/pipelines", params=filtered(operation=9, key="name", string_value="P3"))).json()
    assert some["total_size"] == 10
    assert (await api.get("/pipelines", params={"sort_by": "colour"})).status_code == 400


async def test_objects_of_kubectl_are_pipelines_too(api: httpx.AsyncClient, world: World) -> None:
    def an_object(kind: str, **spec: Any) -> dict[str, Any]:
        metadata = {"name": "applied", "namespace": "kubeflow"}
        return {"apiVersion": PIPELINE.api_version, "kind": kind, "metadata": metadata, "spec": spec}

    version = an_object("PipelineVersion", pipelineName="applied", pipelineSpec=SPEC)
    with pytest.raises(Forbidden, match="there is no Pipeline 'applied'"):
        await world.client.create(PIPELINE_VERSION, version)
    pipeline = await world.client.create(PIPELINE, an_object("Pipeline", displayName="Applied"))
    await world.client.create(PIPELINE_VERSION, version)
    listed = (await api.get("/pipelines")).json()["pipelines"]
    assert [(one["name"], one["display_name"]) for one in listed] == [("applied", "Applied")]
    (told,) = (await api.get(f"/pipelines/{uid_of(pipeline)}/versions")).json()["pipeline_versions"]
    assert told["pipeline_spec"] == SPEC
    broken = an_object("PipelineVersion", pipelineName="applied", pipelineSpec={**SPEC, "components": {}})
    broken["metadata"]["name"] = "broken"
    with pytest.raises(Forbidden, match="comp-say"):
        await world.client.create(PIPELINE_VERSION, broken)
    with pytest.raises(Forbidden, match="immutable"):
        await world.client.patch(PIPELINE_VERSION, ObjectKey("kubeflow", "applied"), {"spec": {"description": "x"}})


async def test_unknown_fields_and_bodies_are_refused(api: httpx.AsyncClient) -> None:
    for content in (b"", b"[", b"[]", b'{"nmae": "x"}', b'{"name": 1}', b"{}"):
        answer = await api.post("/pipelines", content=content)
        assert (answer.status_code, answer.json()["code"]) == (400, 3), content
    assert (await api.post("/pipelines", json={"displayName": "camel"})).json()["name"] == "camel"


async def test_many_users_see_what_their_roles_allow(world: World, database: Database) -> None:
    async with http(world, database, multi_user=True) as api:
        assert (await api.get("/pipelines")).status_code == 401
        denied = await api.get("/pipelines", params={"namespace": "team-a"}, headers={"kubeflow-userid": "anna"})
        assert (denied.status_code, denied.json()["code"]) == (403, 7)
        assert "User 'anna' is not authorized with reason:" in denied.json()["message"]


async def test_a_name_in_a_path_is_decoded_once(api: httpx.AsyncClient) -> None:
    await api.post("/pipelines", json={"name": "50%25 more"})
    assert (await api.get(f"/pipelines/names/{quote('50%25 more')}")).json()["name"] == "50%25 more"
