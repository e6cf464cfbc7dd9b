"""XGBoost with its tracker on node 0."""

from flowdeck.components.training.runtimes._base import TRAINER_VERSION, cluster_runtime, one_job
from flowdeck.kube.objects import Tree


def xgboost_distributed() -> Tree:
    image = f"ghcr.io/kubeflow/trainer/xgboost-runtime:{TRAINER_VERSION}"
    return cluster_runtime("xgboost-distributed", "xgboost", {"xgboost": {}}, one_job(image))
