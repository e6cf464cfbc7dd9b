"""A step of a pipeline starts a distributed training: a TrainJob on two nodes, by the account of the run's pods.

python examples/pipelines/train_job.py
"""

import sys

import kfp
from kfp import dsl
from kfp.dsl import Metrics, Output


@dsl.component(packages_to_install=["kubeflow==0.5.0"])
def train_on_nodes(nodes: int, rounds: int, metrics: Output[Metrics]) -> float:
    """Trains XGBoost on the digits; what the nodes say is in this step's log."""
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
    client.wait_for_job_status(job)
    lines = list(client.get_job_logs(job))
    print("\n".join(lines))
    accuracy = float(re.findall(r"accuracy=([\d.]+)", "\n".join(lines))[-1])
    metrics.log_metric("accuracy", accuracy)
    client.delete_job(job)
    return accuracy


@dsl.component
def tell(accuracy: float) -> str:
    return f"two nodes together: {accuracy:.1%}"


@dsl.pipeline(name="train-job")
def train_job(nodes: int = 2, rounds: int = 20) -> str:
    trained = train_on_nodes(nodes=nodes, rounds=rounds)
    return tell(accuracy=trained.outputs["Output"]).output


if __name__ == "__main__":
    run = kfp.Client().create_run_from_pipeline_func(train_job).wait_for_run_completion()
    for task in run.run_details.task_details:
        if task.pod_name is None or "attempt" not in task.display_name:
            print(f"{task.state:10} {task.display_name}")
    print(f"run {run.run_id}: {run.state}")
    sys.exit(run.state != "SUCCEEDED")
