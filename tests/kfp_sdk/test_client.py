"""`kfp.Client()` with a kubeconfig and nothing else starts runs, and sees what becomes of them."""

import pytest

from tests.kfp_sdk.conftest import Run

pytestmark = [pytest.mark.xdist_group("kfp"), pytest.mark.timeout(600)]


@pytest.mark.parametrize(
    "scenario", ["two_steps", "a_version", "logs", "termination", "deletion", "a_token", "from_a_pod"]
)
def test_what_users_do(run: Run, scenario: str) -> None:
    run("client_scenarios.py", scenario)
