"""Random sequences against both servers; what differs is shrunk to the shortest sequence that still does."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import orjson

from tests.kubernetes.differential import listed
from tests.kubernetes.differential.differences import Difference
from tests.kubernetes.differential.random_sequences import sequences
from tests.kubernetes.differential.scenario import Request, Scenario, Step
from tests.kubernetes.differential.suite import Pair, Played, play, play_all, told
from tests.kubernetes.differential.webhook_server import serving

REPLAYS = 80
"""A sequence is shrunk by no more attempts."""


@dataclass
class Shrinker:
    """Plays parts of one sequence again, each in a fresh namespace."""

    pair: Pair
    run: str
    texts: Mapping[str, str]
    replays: int = field(default=0)

    async def differences(self, scenario: Scenario) -> Sequence[Difference]:
        self.replays += 1
        played = await play(scenario, self.pair, f"{self.run}-{self.replays}", self.texts)
        return _unlisted(played)

    async def shrink(self, scenario: Scenario) -> Scenario:
        """Fewer and fewer steps are left out at a time; what is left out stays so if the rest still differs.

        The quiet steps at the beginning, the scene, always stay.
        """
        scene = sum(step.quiet for step in scenario.steps)
        size = (len(scenario.steps) - scene + 1) // 2
        while size:
            at = scene
            while at < len(scenario.steps) and self.replays < REPLAYS:
                shorter = replace(scenario, steps=[*scenario.steps[:at], *scenario.steps[at + size :]])
                if await self.differences(shorter):
                    scenario = shorter
                else:
                    at += size
            size //= 2
        return scenario


async def play_random(seed: int, steps: int, pair: Pair, run: str) -> tuple[str, Sequence[str]]:
    """A summary, and one text for each sequence that differs: its shortest form and the differences."""
    chosen = sequences(seed, steps)
    report = await play_all(chosen, pair, run)
    texts = []
    async with serving() as hooks:
        for played in report.played:
            if _unlisted(played):
                texts.append(await _explained(played, Shrinker(pair, f"{run}-s", hooks)))
    count = sum(len(played.scenario.steps) for played in report.played)
    return f"seed {seed}: {count} steps in {len(chosen)} sequences, {len(texts)} of them differ", texts


async def _explained(played: Played, shrinker: Shrinker) -> str:
    names = played.scenario.step_names()
    last = names.index(_unlisted(played)[0].step)
    shorter = await shrinker.shrink(replace(played.scenario, steps=played.scenario.steps[: last + 1]))
    differences = await shrinker.differences(shorter) or _unlisted(played)
    return "\n".join([*map(_as_line, shorter.steps), told(differences)])


def _unlisted(played: Played) -> Sequence[Difference]:
    return listed.unlisted(played.differences, listed.load())


def _as_line(step: Step) -> str:
    if not isinstance(step, Request):
        return f"- {step.name}"
    query = "&".join(f"{name}={value}" for name, value in step.query.items())
    body = "" if step.body is None else " " + orjson.dumps(step.body).decode()
    return f"- {step.word} {step.path}{'?' if query else ''}{query}{body}"
