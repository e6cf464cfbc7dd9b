"""Every call of `kfp.Client`, every command of the `kfp` program."""

from pathlib import Path

import pytest

from tests.kfp_sdk.conftest import Run

pytestmark = [pytest.mark.xdist_group("kfp"), pytest.mark.timeout(600)]
PAGE = Path(__file__).parents[2] / "docs" / "pipelines.md"


@pytest.mark.parametrize("part", ["pipelines", "experiments", "runs", "recurring_runs", "the_rest", "what_was_seen"])
def test_what_the_client_can_call(run: Run, part: str) -> None:
    run("every_call.py", part, str(PAGE))


@pytest.mark.parametrize("part", ["pipelines", "experiments", "runs", "recurring_runs", "dsl", "what_was_seen"])
def test_what_people_can_type(run: Run, part: str) -> None:
    run("every_command.py", part, str(PAGE))
