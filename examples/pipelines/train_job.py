"""A step of a pipeline starts a distributed training, a TrainJob on two nodes; the next one lets good models pass.

python examples/pipelines/train_job.py [LEAST ACCURACY]
"""

import sys
import time

import kfp
from kfp import dsl
from kfp.dsl import Metrics, Output


@dsl.component(base_image="python:3.11", packages_to_install=["kubeflow==0.5.0"])
def train_on_nodes(nodes: int, rounds: int, metrics: Output[Metrics]) -> float:
    """Trains XGBoost on the digits by the account of the run's pods; what the nodes say is in this step's log."""
    import re

    from kubeflow.trainer import CustomTrainer, TrainerClient

    def train(rounds: int) -> None:
        """Runs on each node: it trains on rows of its own, XGBoost sums the gradients over the network."""
        import os
        import socket
        import time

        import xgboost
        from sklearn.datasets import load_digits
        from xgboost import collective
        from xgboost.tracker import RabitTracker

        rank, nodes = int(os.environ["DMLC_TASK_ID"]), int(os.environ["DMLC_NUM_WORKER"])
        address, port = os.environ["DMLC_TRACKER_URI"], int(os.environ["DMLC_TRACKER_PORT"])
        if rank == 0:
            tracker = RabitTracker(host_ip=socket.gethostbyname(address), n_workers=nodes, port=port)
            tracker.start()
        for _ in range(300):
            try:
                collective.init(dmlc_tracker_uri=address, dmlc_tracker_port=port, dmlc_task_id=str(rank), dmlc_retry=1)
                break
            except xgboost.core.XGBoostError:  # node 0 is not listening yet
                time.sleep(0.1)
        images, digits = load_digits(return_X_y=True)
        mine = xgboost.DMatrix(images[rank:1440:nodes], digits[rank:1440:nodes])
        held_out = xgboost.DMatrix(images[1440:])
        settings = {"objective": "multi:softmax", "num_class": 10, "max_depth": 4, "nthread": 1}
        model = xgboost.train(settings, mine, num_boost_round=rounds)
        accuracy = (model.predict(held_out) == digits[1440:]).mean()
        print(f"node {rank} of {nodes}: {mine.num_row()} images in my shard, accuracy={accuracy:.4f}", flush=True)
        collective.finalize()
        if rank == 0:
            tracker.wait_for()

    client = TrainerClient()
    trainer = CustomTrainer(func=train, func_args={"rounds": rounds}, num_nodes=nodes)
    job = client.train(runtime="xgboost-distributed", trainer=trainer)
    print(f"TrainJob {job} created", flush=True)
    try:
        client.wait_for_job_status(job, polling_interval=1)
        lines = [line for rank in range(nodes) for line in client.get_job_logs(job, step=f"node-{rank}")]
    finally:
        client.delete_job(job)
    print("\n".join(lines))
    accuracy = float(re.findall(r"accuracy=([\d.]+)", "\n".join(lines))[-1])
    metrics.log_metric("accuracy", accuracy)
    return accuracy


@dsl.component(base_image="python:3.11")
def check(accuracy: float, least: float) -> str:
    """The gate: what comes after it is for good models only."""
    if accuracy < least:
        raise ValueError(f"an accuracy of {accuracy:.1%} is less than {least:.1%}")
    print(f"an accuracy of {accuracy:.1%} is enough: {least:.1%} were wanted")
    return f"{accuracy:.1%}"


@dsl.pipeline(name="train-job")
def train_job(nodes: int = 2, rounds: int = 20, least_accuracy: float = 0.85) -> str:
    trained = train_on_nodes(nodes=nodes, rounds=rounds)
    return check(accuracy=trained.outputs["Output"], least=least_accuracy).output


def follow(client: kfp.Client, run_id: str):
    """The run, when it is over; each change of a step's state is printed on the way."""
    began, seen = time.monotonic(), {}
    while True:
        run = client.get_run(run_id)
        details = run.run_details.task_details if run.run_details else []
        for task in [each for each in details if "attempt" not in each.display_name]:
            if seen.get(task.task_id) != task.state:
                seen[task.task_id] = task.state
                print(f"  {time.monotonic() - began:5.1f} s  {task.state:9}  {task.display_name}", flush=True)
        if run.finished_at.year > 2000:
            return run
        time.sleep(0.2)


if __name__ == "__main__":
    least = float(sys.argv[1]) if len(sys.argv) > 1 else 0.85
    client = kfp.Client()
    arguments = {"least_accuracy": least}
    result = client.create_run_from_pipeline_func(train_job, arguments=arguments, enable_caching=False)
    run = follow(client, result.run_id)
    print(f"run {run.run_id}: {run.state}")
    if run.error:
        print(f"  {run.error.message}")
    sys.exit(run.state != "SUCCEEDED")
