"""Pipelines of steps that do nothing, by the official SDK: on a platform, or by its own local runner.

    python kfp_programs.py flowdeck chain 5 3     seconds of three runs of a chain of five, as JSON
    python kfp_programs.py local chain 5 3

Runs in an environment of the SDK's; knows nothing of Flowdeck but the kubeconfig.
"""

import contextlib
import io
import json
import sys
import time
from collections.abc import Callable
from typing import Any

import kfp
from kfp import dsl, local

POLL_S = 0.005
FINISHED = ("SUCCEEDED", "FAILED", "CANCELED")


@dsl.component
def nothing(item: int) -> int:
    return item


def chain(steps: int) -> Any:
    @dsl.pipeline(name=f"chain-of-{steps}")
    def pipeline(start: int = 0) -> None:
        last = nothing(item=start)
        for _ in range(steps - 1):
            last = nothing(item=last.output)

    return pipeline


@dsl.component
def sleep() -> None:
    import time

    time.sleep(600)


def sleeping(steps: int) -> Any:
    @dsl.pipeline(name=f"{steps}-asleep")
    def pipeline() -> None:
        for _ in range(steps):
            sleep()

    return pipeline


def loop(steps: int) -> Any:
    @dsl.pipeline(name=f"loop-of-{steps}")
    def pipeline(start: int = 0) -> None:
        with dsl.ParallelFor(list(range(steps))) as item:
            nothing(item=item)

    return pipeline


def on_flowdeck(pipeline: Any, times: int, *, cached: bool) -> list[float]:
    """Seconds from the call to the end of the run."""
    client = kfp.Client()
    took = []
    for _ in range(times + cached):
        began = time.perf_counter()
        run = client.create_run_from_pipeline_func(pipeline, arguments={}, enable_caching=cached)
        while (state := client.get_run(run.run_id).state) not in FINISHED:
            time.sleep(POLL_S)
        took.append(time.perf_counter() - began)
        if state != "SUCCEEDED":
            raise SystemExit(f"run {run.run_id}: {state}")
    return took[cached:]


def ended(pipeline: Any, steps: int, times: int) -> list[float]:
    """Seconds from the call that terminates a run, all of whose steps are running, to its end."""
    client = kfp.Client()
    took = []
    for _ in range(times):
        run_id = client.create_run_from_pipeline_func(pipeline, arguments={}).run_id
        while _running(client.get_run(run_id)) < steps:
            time.sleep(POLL_S)
        began = time.perf_counter()
        client.terminate_run(run_id)
        while client.get_run(run_id).state not in FINISHED:
            time.sleep(POLL_S)
        took.append(time.perf_counter() - began)
    return took


def _running(run: Any) -> int:
    tasks = run.run_details.task_details if run.run_details else None
    return sum(task.display_name.startswith("sleep") and task.state == "RUNNING" for task in tasks or ())


def locally(pipeline: Any, times: int) -> list[float]:
    local.init(runner=local.SubprocessRunner(use_venv=False), raise_on_error=True)
    took = []
    for _ in range(times):
        began = time.perf_counter()
        pipeline()
        took.append(time.perf_counter() - began)
    return took


def main() -> None:
    where, shape, steps, times = sys.argv[1:]
    shapes: dict[str, Callable[[int], Any]] = {
        "chain": chain,
        "cached": chain,
        "loop": loop,
        "terminate": sleeping,
    }
    with contextlib.redirect_stdout(io.StringIO()):
        pipeline = shapes[shape](int(steps))
        if where == "local":
            took = locally(pipeline, int(times))
        elif shape == "terminate":
            took = ended(pipeline, int(steps), int(times))
        else:
            took = on_flowdeck(pipeline, int(times), cached=shape == "cached")
    print(json.dumps(took))


if __name__ == "__main__":
    main()
