"""Both servers answer each request of each scenario alike, but for what is listed."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.kubernetes.differential import listed
from tests.kubernetes.differential.scenario import Scenario
from tests.kubernetes.differential.servers import at, embedded
from tests.kubernetes.differential.suite import Pair, Report, play_all, told
from tests.kubernetes.differential.themes import all_scenarios
from tests.kubernetes.rig.control_plane import RealCluster

BARE = [scenario for scenario in all_scenarios() if not scenario.whole]
WHOLE = [scenario for scenario in all_scenarios() if scenario.whole]


def played(scenarios: Sequence[Scenario], real: RealCluster, folder: Path, *, whole: bool) -> Report:
    async def play() -> Report:
        async with at("real", real.kubeconfig) as there, embedded(folder, whole=whole) as here:
            return await play_all(scenarios, Pair(there, here), "0")

    return asyncio.run(play())


@pytest.fixture(scope="module")
def bare(real_api: RealCluster, tmp_path_factory: pytest.TempPathFactory) -> Report:
    return played(BARE, real_api, tmp_path_factory.mktemp("bare"), whole=False)


@pytest.fixture(scope="module")
def whole(real_cluster: RealCluster, tmp_path_factory: pytest.TempPathFactory) -> Report:
    return played(WHOLE, real_cluster, tmp_path_factory.mktemp("whole"), whole=True)


def assert_alike(report: Report, scenario: Scenario) -> None:
    differences = report.unlisted(scenario.name)
    assert not differences, "\n" + told(differences)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("scenario", BARE, ids=lambda scenario: scenario.name)
def test_both_servers_answer_alike(bare: Report, scenario: Scenario) -> None:
    assert_alike(bare, scenario)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("scenario", WHOLE, ids=lambda scenario: scenario.name)
def test_both_clusters_end_alike(whole: Report, scenario: Scenario) -> None:
    assert_alike(whole, scenario)


def test_what_is_listed_still_differs(bare: Report, whole: Report) -> None:
    report = Report([*bare.played, *whole.played])
    print(report.summary())
    assert [str(pattern) for pattern in report.outlived()] == []


def test_the_documentation_shows_the_list() -> None:
    assert listed.PAGE.read_text() == listed.page_as_it_should_be()
