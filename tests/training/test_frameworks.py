"""Frameworks train on several nodes: PyTorch, JAX, XGBoost, MPI; also beside each other."""

import shutil
from pathlib import Path

import pytest
import yaml

from flowdeck.components.training.types import TRAIN_JOB
from flowdeck.kube.objects import ObjectKey
from tests.training.jobs import PROGRAMS, Jobs, a_job

pytestmark = pytest.mark.timeout(900)
DIGITS = Path(__file__).parents[2] / "examples" / "training" / "xgboost_digits.yaml"


async def test_pytorch_sums_and_trains_on_two_nodes_as_on_one(jobs: Jobs) -> None:
    await jobs.need_runtime("torch-distributed")
    (said,) = await jobs.run(a_job("ddp", "torch-distributed", "torch_ddp", start="torchrun"))
    lines = {node: [line for line in text.splitlines() if "[Gloo]" not in line] for node, text in said.items()}
    told = {node: text[:2] for node, text in lines.items()}  # torch may warn of its peer's end after that
    assert told["node-0"] == told["node-1"]
    first, second = told["node-0"]
    assert first == "all-reduce 3 on 2 of 2 nodes"
    assert second.partition(", ")[0].split()[-1] == second.split()[-1]


async def test_jobs_meet_on_the_same_port_at_the_same_time_and_share_names_over_namespaces(jobs: Jobs) -> None:
    await jobs.need_runtime("torch-distributed")
    await jobs.namespace("other")
    said = await jobs.run(
        a_job("one", "torch-distributed", "torch_sum", env={"MINE": "1"}),
        a_job("two", "torch-distributed", "torch_sum", env={"MINE": "10"}),
        a_job("one", "torch-distributed", "torch_sum", env={"MINE": "100"}, namespace="other"),
    )
    assert said == [{"node-0": f"sum {total}\n", "node-1": f"sum {total}\n"} for total in (2, 20, 200)]


async def test_jax_sums_over_two_processes(jobs: Jobs) -> None:
    await jobs.need_runtime("jax-distributed")
    (said,) = await jobs.run(a_job("jax", "jax-distributed", "jax_sum"))
    assert all("sum 3 on 2 processes, 2 devices" in text for text in said.values()), said
    assert said.keys() == {"node-0", "node-1"}


async def test_xgboost_learns_on_two_workers(jobs: Jobs) -> None:
    await jobs.need_runtime("xgboost-distributed")
    (said,) = await jobs.run(yaml.safe_load(DIGITS.read_text()) | {"metadata": {"name": "d", "namespace": "default"}})
    accuracies = [float(text.split()[-1]) for text in said.values()]
    assert len(accuracies) == 2
    assert min(accuracies) >= 0.95


@pytest.mark.parametrize("mpirun", ["mpirun", "/usr/bin/mpirun"])
async def test_mpi_says_hello_on_three_nodes_of_a_shipped_runtime(jobs: Jobs, mpirun: str) -> None:
    if not shutil.which(mpirun) and mpirun.startswith("/"):
        pytest.skip("this machine has no Open MPI of its own (Debian: openmpi-bin)")
    await jobs.need_runtime("mlx-distributed")
    hello = (PROGRAMS / "mpi_hello.py").read_text()
    job = a_job("hello", "mlx-distributed", "mpi_hello", nodes=3)
    job["spec"]["trainer"]["command"] = [mpirun, "--hostfile", "/etc/mpi/hostfile", "python", "-c", hello]
    (said,) = await jobs.run(job)
    words = [line.split() for line in said["launcher-0"].splitlines() if line.startswith("hello")]
    hosts = {f"hello-{pod}.hello:" for pod in ("node-0-0", "node-0-1", "launcher-0-0")}
    assert {word[-2] for word in words} == hosts
    assert sorted((word[2], word[4], word[-1]) for word in words) == [(rank, "3", "6") for rank in "012"]


async def test_progress_arrives_in_the_status(jobs: Jobs) -> None:
    await jobs.need("test/sdk")
    await jobs.run(a_job("progress", "torch-distributed", "progress", nodes=1, image="test/sdk"))
    status = (await jobs.client.get(TRAIN_JOB, ObjectKey("default", "progress")))["status"]["trainerStatus"]
    assert status["progressPercentage"] == 40
    assert status["estimatedRemainingSeconds"] == 90
    assert {each["name"]: each["value"] for each in status["metrics"]} == {"loss": "0.25", "epoch": "3"}
