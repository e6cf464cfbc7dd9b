"""Loops, run by the controller of runs: never more at once than allowed, everything collected in order.

Pods are acted out: of those that there are some end, in any order. Programs see their inputs in their last argument.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from flowdeck.components.pipelines.store import runs
from flowdeck.components.pipelines.store.runs import Run
from flowdeck.kube.kinds import POD
from flowdeck.kube.objects import Tree, key_of
from tests.components.pipelines.makers import Maker, given, of, parameter, use, value_from
from tests.components.pipelines.scene import Scene

Program = Callable[[Tree], Any]
"""An output from the inputs."""


@dataclass
class Pods:
    """Plays them: `say` adds one, `join` says both its words, `list` gives a list of structures, `last` is told what
    was collected."""

    scene: Scene
    listed: Any = None
    chance: Random = field(default_factory=lambda: Random(1))
    most: int = 0
    """How many there were at once."""
    ended: set[str] = field(default_factory=set)
    told: Any = None

    async def play(self, run: Run) -> Run:
        self.scene.controller.look_at(run)
        while (run := await self._now(run)).is_active:
            await self.scene.world.settle()
            pods = [pod for pod in await self.scene.world.list(POD) if key_of(pod).name not in self.ended]
            self.most = max(self.most, len(pods))
            for pod in self.chance.sample(pods, self.chance.randint(1, len(pods)) if pods else 0):
                self.ended.add(key_of(pod).name)
                outputs = self._outputs(pod["spec"]["containers"][0])
                await self.scene.end(pod, json.dumps({"parameterValues": outputs}).encode())
        return run

    async def _now(self, run: Run) -> Run:
        return await self.scene.database.read(lambda connection: runs.get(connection, run.id))

    def _outputs(self, container: Tree) -> Tree:
        inputs = json.loads(container["command"][-1])["inputs"].get("parameterValues", {})
        match container["command"][1]:
            case "say":
                return {"y": inputs["x"] + 1}
            case "join":
                return {"y": f"{inputs['a']}:{inputs['b']}"}
            case "list":
                return {"items": self.listed}
            case _:
                self.told = inputs["ys"]
                return {}


def a_loop(over: Tree, body: str, limit: int, **inputs: Tree) -> Tree:
    """A use of `body` for each item, which it takes as `item`; its output is `ys`."""
    iterator, policy = {"itemInput": "item", "items": over}, {"parallelismLimit": limit}
    return use(body, inputs, parameterIterator=iterator, iteratorPolicy=policy)


def adding(m: Maker, name: str = "for-loop-1") -> str:
    """A body that adds one to its item."""
    say = m.leaf("say", {"x": parameter("NUMBER_INTEGER")}, {"y": "NUMBER_INTEGER"})
    ys = {"ys": ("NUMBER_INTEGER", value_from("say", "y"))}
    return m.dag(name, {"say": use(say, {"x": given("item")})}, {"item": parameter("NUMBER_INTEGER")}, ys)


def and_last(m: Maker, tasks: dict[str, Tree], inputs: dict[str, Tree] | None = None) -> Tree:
    last = m.leaf("last", {"ys": parameter("LIST")})
    return m.document({**tasks, "last": use(last, {"ys": of("loop", "ys")})}, inputs)


async def test_no_more_iterations_run_than_the_limit(scene: Scene) -> None:
    """`kfp_sdk/long/test_a_thousand.py` has a thousand, in pods that run."""
    m, pods = Maker(), Pods(scene)
    items = {"raw": json.dumps(list(range(200)))}
    run = await pods.play(await scene.submit(and_last(m, {"loop": a_loop(items, adding(m), 10)})))
    assert (run.state, run.error) == ("SUCCEEDED", "")
    assert pods.most == 10
    assert pods.told == [at + 1 for at in range(200)]
    assert len(pods.ended) == 201


async def test_without_items_nothing_runs(scene: Scene) -> None:
    m, pods = Maker(), Pods(scene)
    run = await pods.play(await scene.submit(and_last(m, {"loop": a_loop({"raw": "[]"}, adding(m), 10)})))
    assert (run.state, pods.told, len(pods.ended)) == ("SUCCEEDED", [], 1)


async def test_loops_in_loops_have_limits_of_their_own(scene: Scene) -> None:
    m, pods = Maker(), Pods(scene)
    ys = {"ys": ("LIST", value_from("inner", "ys"))}
    inner = a_loop({"inputParameter": "items"}, adding(m, "for-loop-2"), 3, items=given("item"))
    outer = m.dag("for-loop-1", {"inner": inner}, {"item": parameter("LIST")}, ys)
    lists = [list(range(first, first + 8)) for first in (0, 10, 20, 30)]
    run = await pods.play(await scene.submit(and_last(m, {"loop": a_loop({"raw": json.dumps(lists)}, outer, 2)})))
    assert (run.state, run.error) == ("SUCCEEDED", "")
    assert pods.told == [[item + 1 for item in items] for items in lists]
    assert pods.most == 6


async def test_a_loop_over_an_output_of_structures_sees_their_parts(scene: Scene) -> None:
    m, pods = Maker(), Pods(scene, listed=[{"title": f"n{at}", "size": str(at)} for at in range(7)])
    listing = m.leaf("list", None, {"items": "LIST"})
    join = m.leaf("join", {"a": parameter(), "b": parameter()}, {"y": "STRING"})
    part = {key: given("item", f'parseJson(string_value)["{key}"]') for key in ("title", "size")}
    body = m.dag(
        "for-loop-1",
        {"join": use(join, {"a": part["title"], "b": part["size"]})},
        {"item": parameter("STRUCT")},
        {"ys": ("STRING", value_from("join", "y"))},
    )
    loop = a_loop({"inputParameter": "items"}, body, 2, items=of("list", "items")) | {"dependentTasks": ["list"]}
    run = await pods.play(await scene.submit(and_last(m, {"list": use(listing), "loop": loop})))
    assert (run.state, run.error) == ("SUCCEEDED", "")
    assert pods.told == [f"n{at}:{at}" for at in range(7)]
    assert pods.most == 2
