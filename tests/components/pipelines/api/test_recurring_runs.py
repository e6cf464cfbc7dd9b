"""Recurring runs on the REST wire."""

import json
from typing import Any

import httpx
import pytest

from flowdeck.sql.database import Database
from tests.components.pipelines.api.conftest import http
from tests.world.world import World

ANNA = {"kubeflow-userid": "anna"}
SPEC = {
    "pipelineInfo": {"name": "hello"},
    "schemaVersion": "2.1.0",
    "root": {"dag": {"tasks": {}}, "inputDefinitions": {"parameters": {"day": {"parameterType": "STRING"}}}},
}
HOURLY = {"cron_schedule": {"cron": "0 0 * * * *"}}
GOOD: dict[str, Any] = {
    "display_name": "Every hour!",
    "pipeline_spec": SPEC,
    "runtime_config": {"parameters": {"day": "[[ScheduledTime.2006-01-02]]"}},
    "max_concurrency": "1",
    "trigger": HOURLY,
    "mode": "ENABLE",
}


async def create(api: httpx.AsyncClient, **more: Any) -> dict[str, Any]:
    answer = await api.post("/recurringruns", json={**GOOD, **more})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def a_pipeline(api: httpx.AsyncClient) -> tuple[str, str]:
    """The ids of a pipeline and its version."""
    body = {"pipeline": {"name": "hello"}, "pipeline_version": {"pipeline_spec": SPEC}}
    pipeline = (await api.post("/pipelines/create", json=body)).json()["pipeline_id"]
    versions = (await api.get(f"/pipelines/{pipeline}/versions")).json()["pipeline_versions"]
    return pipeline, versions[0]["pipeline_version_id"]


async def test_a_new_one_is_told_as_it_was_asked_for(api: httpx.AsyncClient) -> None:
    made = await create(api, description="of the shop")
    wanted = {
        "display_name": "Every hour!",
        "description": "of the shop",
        "pipeline_spec": SPEC,
        "runtime_config": GOOD["runtime_config"],
        "service_account": "pipeline-runner",
        "max_concurrency": "1",
        "trigger": HOURLY,
        "mode": "ENABLE",
        "status": "ENABLED",
        "created_at": "2026-01-01T00:00:00Z",
        "updated_at": "2026-01-01T00:00:00Z",
    }
    default = (await api.get("/experiments")).json()["experiments"][0]["experiment_id"]
    assert made == {**wanted, "experiment_id": default, "recurring_run_id": made["recurring_run_id"]}
    assert (await api.get(f"/recurringruns/{made['recurring_run_id']}")).json() == made


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        pytest.param({"display_name": ""}, "needs a name", id="no-name"),
        pytest.param({"max_concurrency": "0"}, "out of range. Support 1-10. Received 0.", id="none-at-once"),
        pytest.param({"max_concurrency": 11}, "out of range. Support 1-10. Received 11.", id="too-many-at-once"),
        pytest.param(
            {"trigger": {"cron_schedule": {"cron": "x"}}}, "Schedule cron is not a supported format", id="cron"
        ),
        pytest.param({"trigger": {"cron_schedule": {}}}, "Schedule cron is not a supported format", id="empty-cron"),
        pytest.param(
            {"trigger": {"periodic_schedule": {"interval_second": "0"}}},
            "Found invalid period schedule interval 0. Set at interval to least 1 second.",
            id="interval",
        ),
        pytest.param(
            {"trigger": {**HOURLY, "periodic_schedule": {"interval_second": "1"}}}, "only one of", id="two-triggers"
        ),
        pytest.param({"pipeline_spec": None}, "no pipeline is named", id="nothing-to-run"),
        pytest.param({"pipeline_spec": {"a": 1}}, "Invalid input error", id="no-pipeline"),
        pytest.param({"runtime_config": {}}, "parameter 'day' is missing", id="no-value"),
        pytest.param({"runtime_config": {"parameters": {"day": "x", "n": 1}}}, "not required", id="unknown-parameter"),
        pytest.param({"mode": "SOMETIMES"}, "is not one of", id="mode"),
        pytest.param({"colour": "red"}, "unknown field", id="unknown-field"),
    ],
)
async def test_what_is_refused(api: httpx.AsyncClient, changed: dict[str, Any], told: str) -> None:
    answer = await api.post("/recurringruns", json={**GOOD, **changed})
    assert (answer.status_code, answer.json()["code"]) == (400, 3), answer.text
    assert told in answer.json()["message"]


async def test_five_fields_of_cron_are_taken_with_a_warning(api: httpx.AsyncClient) -> None:
    made = await create(api, trigger={"cron_schedule": {"cron": "30 9 * * *"}})
    assert 'write "0 30 9 * * *"' in made["warnings"][0]


async def test_fields_are_read_in_camel_case_too(api: httpx.AsyncClient) -> None:
    trigger = {"periodicSchedule": {"intervalSecond": 300, "startTime": "2026-02-01T00:00:00Z"}}
    made = await create(api, trigger=trigger, noCatchup=True)
    told = {"periodic_schedule": {"interval_second": "300", "start_time": "2026-02-01T00:00:00Z"}}
    assert (made["trigger"], made["no_catchup"]) == (told, True)


async def test_whatever_is_not_enabled_is_disabled_until_it_is(api: httpx.AsyncClient, world: World) -> None:
    made = await create(api, mode="MODE_UNSPECIFIED")
    path = f"/recurringruns/{made['recurring_run_id']}"
    assert (made["status"], made["mode"]) == ("DISABLED", "DISABLE")
    world.clock.advance(5)
    assert (await api.post(f"{path}:enable")).json() == {}
    enabled = (await api.get(path)).json()
    assert (enabled["status"], enabled["updated_at"]) == ("ENABLED", "2026-01-01T00:00:05Z")
    world.clock.advance(5)
    assert (await api.post(f"{path}:enable")).json() == {}
    assert (await api.get(path)).json() == enabled
    assert (await api.post(f"{path}:disable")).json() == {}
    assert (await api.get(path)).json()["status"] == "DISABLED"


async def test_a_version_is_pinned_and_a_pipeline_alone_is_not(api: httpx.AsyncClient) -> None:
    pipeline, version = await a_pipeline(api)
    both = {"pipeline_id": pipeline, "pipeline_version_id": version}
    pinned = await create(api, pipeline_spec=None, pipeline_version_reference=both)
    assert (pinned["pipeline_version_reference"], pinned.get("pipeline_spec")) == (both, None)
    newest = await create(api, pipeline_spec=None, pipeline_version_reference={"pipeline_id": pipeline})
    assert newest["pipeline_version_reference"] == {"pipeline_id": pipeline}
    await api.delete(f"/pipelines/{pipeline}", params={"cascade": "true"})
    assert (await api.get(f"/recurringruns/{pinned['recurring_run_id']}")).json() == pinned


async def test_references_that_lead_nowhere(api: httpx.AsyncClient) -> None:
    pipeline, version = await a_pipeline(api)
    for reference, code in (
        ({"pipeline_id": "nowhere"}, 404),
        ({"pipeline_id": "nowhere", "pipeline_version_id": version}, 400),
        ({"pipeline_id": pipeline, "pipeline_version_id": "nowhere"}, 404),
    ):
        body = {**GOOD, "pipeline_spec": None, "pipeline_version_reference": reference}
        assert (await api.post("/recurringruns", json=body)).status_code == code, reference


async def test_none_is_made_in_an_unknown_or_archived_experiment(api: httpx.AsyncClient) -> None:
    experiment = (await api.post("/experiments", json={"display_name": "old"})).json()["experiment_id"]
    made = await create(api, experiment_id=experiment)
    await api.post(f"/experiments/{experiment}:archive")
    assert (await api.get(f"/recurringruns/{made['recurring_run_id']}")).json()["status"] == "DISABLED"
    refused = await api.post(f"/recurringruns/{made['recurring_run_id']}:enable")
    assert (refused.status_code, refused.json()["code"]) == (400, 9)
    answer = await api.post("/recurringruns", json={**GOOD, "experiment_id": experiment})
    assert (answer.status_code, answer.json()["code"]) == (400, 9)
    answer = await api.post("/recurringruns", json={**GOOD, "experiment_id": "nowhere"})
    assert (answer.status_code, answer.json()["code"]) == (404, 5)


async def test_lists_by_pages_filters_and_experiments(api: httpx.AsyncClient) -> None:
    assert (await api.get("/recurringruns")).json() == {}
    experiment = (await api.post("/experiments", json={"display_name": "mine"})).json()["experiment_id"]
    made = [await create(api, display_name=f"r{number}") for number in range(3)]
    own = await create(api, display_name="own", experiment_id=experiment)
    params = {"page_size": "3", "sort_by": "display_name desc"}
    page = (await api.get("/recurringruns", params=params)).json()
    assert [one["display_name"] for one in page["recurringRuns"]] == ["r2", "r1", "r0"]
    assert page["total_size"] == 4
    rest = (await api.get("/recurringruns", params={"page_token": page["next_page_token"], "page_size": "3"})).json()
    assert [one["display_name"] for one in rest["recurringRuns"]] == ["own"]
    of_one = (await api.get("/recurringruns", params={"experiment_id": experiment})).json()
    assert of_one == {"recurringRuns": [own], "total_size": 1}
    wanted = {"predicates": [{"operation": "IS_SUBSTRING", "key": "display_name", "string_value": "R1"}]}
    assert (await api.get("/recurringruns", params={"filter": json.dumps(wanted)})).json()["recurringRuns"] == [made[1]]


async def test_what_is_not_there_is_not_found(api: httpx.AsyncClient) -> None:
    made = await create(api)
    path = f"/recurringruns/{made['recurring_run_id']}"
    assert (await api.delete(path)).json() == {}
    calls = (("GET", path), ("DELETE", path), ("POST", f"{path}:enable"), ("POST", f"{path}:disable"))
    for method, url in calls:
        answer = await api.request(method, url)
        assert (answer.status_code, answer.json()["code"]) == (404, 5)
        assert "not found" in answer.json()["message"]


@pytest.mark.parametrize(
    ("body", "code", "told"),
    [
        ({"start_time": "2025-12-31T00:00:00Z", "end_time": "2025-12-31T23:59:59Z"}, 200, "24"),
        ({"start_time": "2025-12-31T00:00:01Z", "end_time": "2025-12-31T00:30:00Z"}, 400, "is due never"),
        ({"start_time": "2020-01-01T00:00:00Z", "end_time": "2025-01-01T00:00:00Z"}, 400, "more than 10000 times"),
        ({"start_time": "2025-12-31T00:00:00Z", "end_time": "2026-12-31T00:00:00Z"}, 400, "nor in the future"),
        ({"start_time": "2025-12-31T00:00:00Z", "end_time": "2025-12-30T00:00:00Z"}, 400, "before start_time"),
        ({"start_time": "2025-12-31T00:00:00Z"}, 400, "RFC 3339"),
        ({"start_time": "0001-01-01T00:00:00Z", "end_time": "2025-12-31T00:00:00Z"}, 400, "between the years"),
    ],
)
async def test_a_backfill_says_how_many_points_it_has(
    api: httpx.AsyncClient, body: dict[str, str], code: int, told: str
) -> None:
    made = await create(api)
    answer = await api.post(f"/recurringruns/{made['recurring_run_id']}:backfill", json=body)
    assert answer.status_code == code
    assert told in answer.text


async def test_many_users_need_rights_in_the_experiments_namespace(world: World, database: Database) -> None:
    async with http(world, database, multi_user=True) as api:
        assert (await api.get("/recurringruns", params={"namespace": "team-a"})).status_code == 401
        assert (await api.get("/recurringruns", headers=ANNA)).status_code == 400
        assert (await api.get("/recurringruns", params={"namespace": "team-a"}, headers=ANNA)).status_code == 403
        refused = await api.post("/recurringruns", headers=ANNA, json=GOOD)
        assert (refused.status_code, "Experiment id can not be empty" in refused.text) == (400, True)
