"""Distributed XGBoost through the official `kubeflow` SDK: one Python function, trained on two nodes.

export KUBECONFIG=$(flowdeck status --kubeconfig-path)
pip install kubeflow
python examples/training/xgboost_digits.py
"""

import argparse
import sys
import time

from kubeflow.trainer import CustomTrainer, TrainerClient


def train_digits():
    """Runs on every node: each trains on its own shard, XGBoost sums the gradients over the network."""
    import os
    import socket
    import time
    import warnings

    import xgboost
    from xgboost import collective
    from xgboost.tracker import RabitTracker

    warnings.simplefilter("ignore")
    rank, nodes = int(os.environ["DMLC_TASK_ID"]), int(os.environ["DMLC_NUM_WORKER"])
    address, port = os.environ["DMLC_TRACKER_URI"], int(os.environ["DMLC_TRACKER_PORT"])
    if rank == 0:
        tracker = RabitTracker(host_ip=socket.gethostbyname(address), n_workers=nodes, port=port)
        tracker.start()

    from sklearn.datasets import load_digits
    from sklearn.metrics import accuracy_score
    from sklearn.model_selection import train_test_split

    images, digits = load_digits(return_X_y=True)
    train_x, test_x, train_y, test_y = train_test_split(images, digits, test_size=0.2, random_state=0, stratify=digits)
    for _ in range(300):
        try:
            collective.init(dmlc_tracker_uri=address, dmlc_tracker_port=port, dmlc_task_id=str(rank), dmlc_retry=1)
            break
        except xgboost.core.XGBoostError:  # node 0 is not listening yet
            time.sleep(0.1)

    shard_x, shard_y = train_x[rank::nodes], train_y[rank::nodes]
    print(f"node {rank} of {nodes}: {len(shard_x)} of {len(train_x)} images are in my shard", flush=True)
    model = xgboost.train(
        {"objective": "multi:softmax", "num_class": 10, "max_depth": 4, "eta": 0.3, "nthread": 1},
        xgboost.DMatrix(shard_x, label=shard_y),
        num_boost_round=60,
    )
    accuracy = accuracy_score(test_y, model.predict(xgboost.DMatrix(test_x)))
    print(f"node {rank} of {nodes}: accuracy on {len(test_x)} images held out: {accuracy:.4f}", flush=True)
    assert accuracy >= 0.95, "the model did not learn"
    collective.finalize()
    if rank == 0:
        tracker.wait_for()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=2)
    nodes = parser.parse_args().nodes
    client = TrainerClient()
    began = time.monotonic()
    name = client.train(
        runtime="xgboost-distributed",
        trainer=CustomTrainer(func=train_digits, num_nodes=nodes, resources_per_node={"cpu": "0.5"}),
    )
    print(f"TrainJob {name} created", flush=True)
    seen = ""
    while seen not in ("Complete", "Failed"):
        status = client.get_job(name).status
        if status != seen:
            print(f"  {time.monotonic() - began:5.1f} s  {status}", flush=True)
            seen = status
        time.sleep(0.2)
    for rank in range(nodes):
        for line in client.get_job_logs(name, step=f"node-{rank}"):
            print(f"  {line}")
    if seen == "Failed":
        for event in client.get_job_events(name):
            print(f"  {event.reason}: {event.message}", file=sys.stderr)
    client.delete_job(name)
    return 0 if seen == "Complete" else 1


if __name__ == "__main__":
    sys.exit(main())
