"""`flowdeck demo`: distributed training from nothing, by the official SDK, by YAML, and by a step of a pipeline."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

import flowdeck
from flowdeck.cli.cluster import read_objects
from flowdeck.cli.refusal import Refusal
from flowdeck.cli.target import DataOption, data_folder, exports
from flowdeck.client.http import HttpClient
from flowdeck.client.kubeconfig import load_kubeconfig
from flowdeck.clock import SystemClock
from flowdeck.embedded.node.contract import ImageError
from flowdeck.embedded.node.images.environments import Environments
from flowdeck.embedded.node.images.recipes import PLATFORM_PYTHON, Recipe
from flowdeck.embedded.node.images.settings import ImageSettings, shared_folder
from flowdeck.kube.conditions import find_condition, is_true
from flowdeck.kube.kinds import POD
from flowdeck.kube.objects import Kind, ObjectKey
from flowdeck.state import read_state
from flowdeck.testing.platform import RunningPlatform

SDKS = ("kubeflow==0.5.0", "kfp==2.17.3")
STEPS = ("train-on-nodes", "check")
"""Of the pipeline, as they follow each other."""
TOLD = ("TrainJob", "node", "an accuracy")
"""How their own lines begin; the SDK's executor writes many around them."""
PIPELINES = "/api/v1/namespaces/kubeflow/services/ml-pipeline:http/proxy/apis"
TIMEOUT_S = 900.0
TRAIN_JOB = Kind("trainer.kubeflow.org", "v1alpha1", "TrainJob", "trainjobs")

console = Console(highlight=False)


def add_to(app: typer.Typer) -> None:
    app.command(epilog="Example: flowdeck demo --keep")(demo)


def demo(
    data: DataOption = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the platform running at the end.")] = False,
) -> None:
    """Start the platform, train a model on two nodes through the official SDK, from YAML, and from a pipeline."""
    folder = data_folder(data)
    with _platform(folder, keep=keep) as platform:
        sdk = _sdk(folder)
        console.print("(the first run builds the images' environments: up to a minute or two)", style="dim")
        console.rule("1. Python: kubeflow's TrainerClient")
        _run_script(sdk, platform, _example("training/xgboost_digits.py"))
        console.rule("2. YAML: flowdeck apply (kubectl apply does the same)")
        asyncio.run(_run_yaml(platform, _example("training/xgboost_digits.yaml")))
        console.rule("3. Pipeline: kfp's Client; a step trains, the next one is a gate")
        _run_script(sdk, platform, _example("pipelines/train_job.py"))
        asyncio.run(_tell_steps(platform))
    console.rule("Both jobs and the pipeline have completed")
    _tell_next(folder, keep)


@contextmanager
def _platform(folder: Path, *, keep: bool) -> Iterator[RunningPlatform]:
    platform = RunningPlatform(folder)
    was_running = read_state(folder) is not None
    if not was_running:
        with console.status("starting the platform"):
            platform.start()
    console.print(f"[green]ready[/] at {platform.server}")
    try:
        yield platform
    finally:
        if not keep and not was_running:
            platform.stop()


def _sdk(data: Path) -> Path:
    """Python of an environment with the official SDKs: made once, for all platforms of the user, as images' are."""
    env = dict(os.environ)  # noqa: TID251 - the command line reads the environment
    folder = shared_folder(env, is_root=os.geteuid() == 0)
    settings = ImageSettings(folder=folder, archives=data, table=data / "images.toml", machine_env=env)
    environments, recipe = Environments(settings, SystemClock()), Recipe(PLATFORM_PYTHON, SDKS)
    environment = environments.find(recipe)
    if environment is None:
        what = f"installing the official SDKs ({', '.join(SDKS)})"
        with console.status(f"{what} into an environment of their own") as status:

            def tell(message: str, *, is_notice: bool = False) -> None:
                status.update(f"{what}: {message}")

            try:
                environment = asyncio.run(environments.build(recipe, tell))
            except ImageError as error:
                raise Refusal(str(error)) from error
    environments.touch(environment)
    return environment.path / "bin" / "python"


def _run_script(python: Path, platform: RunningPlatform, script: Path) -> None:
    env = {**os.environ, "KUBECONFIG": str(platform.kubeconfig)}  # noqa: TID251 - handed on to the script
    with tempfile.TemporaryDirectory() as home:
        done = subprocess.run([python, "-W", "ignore", str(script)], env=env, cwd=home, timeout=TIMEOUT_S)
    if done.returncode != 0:
        raise Refusal(f"{script} failed (exit code {done.returncode})")


async def _run_yaml(platform: RunningPlatform, file: Path) -> None:
    (obj,) = read_objects(str(file))
    key = ObjectKey("default", obj["metadata"]["name"])
    obj["metadata"]["namespace"] = key.namespace
    async with HttpClient(load_kubeconfig(platform.kubeconfig), SystemClock()) as client, asyncio.timeout(TIMEOUT_S):
        await client.delete(TRAIN_JOB, key, propagation="Foreground", missing_ok=True)
        await _gone(client, key)
        await client.apply(TRAIN_JOB, obj, manager="flowdeck", force=True)
        console.print(f"trainjobs.trainer.kubeflow.org/{key.name} applied")
        await _finished(client, key)
        pods = await client.list(POD, namespace=key.namespace, labels=f"jobset.sigs.k8s.io/jobset-name={key.name}")
        for pod in pods.items:
            name = pod["metadata"]["name"]
            log = await client.raw("GET", POD.url(ObjectKey(key.namespace, name), subresource="log"))
            for line in log.decode().splitlines():
                console.print(f"  {name}: {line}", markup=False)
        await client.delete(TRAIN_JOB, key)


async def _tell_steps(platform: RunningPlatform) -> None:
    """Prints what the steps of the newest run have told."""
    newest = {"page_size": "1", "sort_by": "created_at desc"}
    async with HttpClient(load_kubeconfig(platform.kubeconfig), SystemClock()) as client:
        found = json.loads(await client.raw("GET", f"{PIPELINES}/v2beta1/runs", query=newest))
        (run,) = found["runs"]
        for task in run["run_details"]["task_details"]:
            if (name := task["display_name"]) in STEPS:
                node = f"{PIPELINES}/v1alpha1/runs/{run['run_id']}/nodes/{task['task_id']}"
                lines = (await client.raw("GET", f"{node}/log")).decode().splitlines()
                for line in [line for line in lines if line.startswith(TOLD)]:
                    console.print(f"  {name}: {line}", markup=False)


async def _gone(client: HttpClient, key: ObjectKey) -> None:
    found = await client.list(TRAIN_JOB, namespace=key.namespace, fields=f"metadata.name={key.name}")
    if not found.items:
        return
    fields = f"metadata.name={key.name}"
    async with client.watch(
        TRAIN_JOB, namespace=key.namespace, fields=fields, resource_version=found.resource_version
    ) as events:
        async for event in events:
            if event.type == "DELETED":
                return


async def _finished(client: HttpClient, key: ObjectKey) -> None:
    """Returns when the job is complete, with each change of its pods' phases printed. Raises `Refusal` on failure."""
    found = await client.list(TRAIN_JOB, namespace=key.namespace)
    async with client.watch(TRAIN_JOB, namespace=key.namespace, resource_version=found.resource_version) as events:
        job = next((item for item in found.items if item["metadata"]["name"] == key.name), None)
        while job is None or not is_true(job, "Complete"):
            if job is not None and is_true(job, "Failed"):
                failed = find_condition(job, "Failed") or {}
                raise Refusal(f"the TrainJob failed: {failed.get('reason')}: {failed.get('message')}")
            job = (await anext(events)).object


def _example(name: str) -> Path:
    """An example's file: beside the package when it was installed, in the repository otherwise."""
    package = Path(flowdeck.__file__).parent
    for folder in (package / "examples", package.parents[1] / "examples"):
        if (folder / name).exists():
            return folder / name
    raise Refusal(f"the example {name} is missing from this installation")


def _tell_next(folder: Path, keep: bool) -> None:
    program = _program()
    start = "" if keep else f"  {program} up --detach\n"
    console.print(
        f"\nWhere to go next:\n{exports(folder)}\n{start}"
        "  kubectl get clustertrainingruntimes\n"
        f"  kubectl apply -f {_example('training/xgboost_digits.yaml')}\n"
        f"  {program} logs trainjob/digits --follow\n"
        f"  {program} down --pods\n"
        "README.md and docs/ say the rest.",
        markup=False,
        soft_wrap=True,
    )


def _program() -> str:
    """What to type for `flowdeck`: its path where the shell would not find it, or another one."""
    here = Path(sys.executable).parent / "flowdeck"
    found = shutil.which("flowdeck")
    is_on_path = found is not None and here.exists() and here.samefile(found)
    return "flowdeck" if is_on_path or not here.exists() else str(here)
