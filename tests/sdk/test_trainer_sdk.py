"""The official `kubeflow` SDK trains on Flowdeck: each call, each option, each initializer."""

import pytest

from flowdeck.testing.platform import RunningPlatform
from tests.sdk.conftest import Run

pytestmark = pytest.mark.timeout(300)


@pytest.mark.parametrize(
    "scenario",
    [
        "constructor_is_content_with_the_version",
        "runtimes_are_listed_and_read",
        "no_trainer_at_all",
        "every_option_arrives",
        "every_initializer_arrives",
        "torchtune_gets_its_recipe",
        "lora_arguments_arrive",
        "jobs_are_listed_and_deleted",
        "errors_are_told",
    ],
)
def test_objects(run: Run, api_only: RunningPlatform, scenario: str) -> None:
    run(api_only, scenario)


@pytest.mark.parametrize(
    "scenario",
    [
        "function_runs_on_two_nodes",
        "logs_are_followed",
        "container_image_runs",
        "failure_is_told",
        "suspended_job_is_created",
        "packages_of_a_runtime_are_listed",
        "progress_is_reported",
    ],
)
def test_runs(run: Run, whole: RunningPlatform, scenario: str) -> None:
    run(whole, scenario)
