"""Reports progress as users do."""

from kubeflow.trainer import update_trainjob_status

assert update_trainjob_status(40, 90, {"loss": 0.25, "epoch": 3})
