"""Plays scenarios on a pair of servers, and gathers where the answers differ."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from flowdeck.kube.objects import Tree
from tests.kubernetes.differential import listed
from tests.kubernetes.differential.conversation import Conversation
from tests.kubernetes.differential.differences import Difference, compare_outcomes
from tests.kubernetes.differential.normal import Normal
from tests.kubernetes.differential.scenario import Scenario, Until, create, until
from tests.kubernetes.differential.servers import Server
from tests.kubernetes.differential.webhook_server import serving

AT_ONCE = 12
"""Scenarios that are played at a time."""


@dataclass(frozen=True)
class Pair:
    real: Server
    ours: Server


@dataclass(frozen=True)
class Played:
    """One scenario, played on both."""

    scenario: Scenario
    requests: int
    """Of the scenario itself, sent to each server."""
    differences: Sequence[Difference]


@dataclass
class Report:
    played: list[Played] = field(default_factory=list)

    @property
    def differences(self) -> Sequence[Difference]:
        return [difference for one in self.played for difference in one.differences]

    @property
    def requests(self) -> int:
        return sum(one.requests for one in self.played)

    def unlisted(self, scenario: str = "") -> Sequence[Difference]:
        """Of one scenario, or of all."""
        found = [each for one in self.played if scenario in ("", one.scenario.name) for each in one.differences]
        return listed.unlisted(found, listed.load())

    def outlived(self) -> Sequence[listed.Pattern]:
        names = [one.scenario.name for one in self.played]
        return listed.outlived(self.differences, listed.load(), names)

    def summary(self) -> str:
        unlisted = len(self.unlisted())
        return (
            f"{len(self.played)} scenarios, {self.requests} requests to each server, "
            f"{len(self.differences)} differences: {len(self.differences) - unlisted} listed, {unlisted} not"
        )


def told(differences: Sequence[Difference]) -> str:
    """Differences as a person reads them: by scenario and step."""
    lines: list[str] = []
    above: tuple[str, str] = ("", "")
    for difference in differences:
        if difference.scenario != above[0]:
            lines.append(difference.scenario)
        if (difference.scenario, difference.step) != above:
            lines.append(f"  {difference.step}")
        above = (difference.scenario, difference.step)
        lines.append(str(difference))
    return "\n".join(lines)


async def play_all(scenarios: Sequence[Scenario], pair: Pair, run: str) -> Report:
    """Plays scenarios, many at a time. `run` is part of the names of namespaces, so that a server can be used again."""
    async with serving() as texts:
        return await _play_all(scenarios, pair, run, texts)


async def _play_all(scenarios: Sequence[Scenario], pair: Pair, run: str, texts: Mapping[str, str]) -> Report:
    report = Report()
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(scenario: Scenario) -> None:
        async with gate:
            report.played.append(await play(scenario, pair, run, texts))

    for scenario in scenarios:
        if scenario.alone:
            await one(scenario)
    async with asyncio.TaskGroup() as tasks:
        for scenario in scenarios:
            if not scenario.alone:
                tasks.create_task(one(scenario))
    report.played.sort(key=lambda one: one.scenario.name)
    return report


async def play(scenario: Scenario, pair: Pair, run: str, texts: Mapping[str, str]) -> Played:
    namespace = f"{scenario.slug}-{run}"
    talks = [Conversation(server, scenario, namespace, texts) for server in (pair.real, pair.ours)]
    real, ours = await asyncio.gather(_outcomes(talks[0]), _outcomes(talks[1]))
    differences = [
        Difference(scenario.name, name, path, there, here)
        for step, name, theirs, our in zip(scenario.steps, scenario.step_names(), real, ours, strict=True)
        if not step.quiet
        for path, there, here in compare_outcomes(theirs, our)
    ]
    return Played(scenario, talks[0].requests, differences)


async def _outcomes(talk: Conversation) -> Sequence[Tree]:
    """The normal outcomes of a scenario, in a namespace that is made for it."""
    await _make_namespace(talk.server, talk.namespace, whole=talk.scenario.whole)
    outcomes = await talk.play()
    normal = Normal(talk.namespace)
    return [normal.outcome(outcome, step.quiet) for outcome, step in zip(outcomes, talk.scenario.steps, strict=True)]


async def _make_namespace(server: Server, namespace: str, *, whole: bool) -> None:
    """With its default account, which pods need: made here where no controller does it."""
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
    made = create("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "{ns}"}})
    ready: Sequence[Until] = (
        until("serviceaccounts/default", "metadata.name", "default"),
        until("configmaps/kube-root-ca.crt", "metadata.name", "kube-root-ca.crt"),
    )
    steps = [made, *(ready if whole else [create("serviceaccounts", account)])]
    outcomes = await Conversation(server, Scenario("scene", steps), namespace).play()
    failed = [outcome for outcome in outcomes if outcome.get("status") not in (200, 201)]
    assert not failed, f"no namespace on {server.name}: {failed}"
