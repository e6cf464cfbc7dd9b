"""What Prometheus is told about TrainJobs."""

from dataclasses import dataclass, field
from datetime import datetime

from prometheus_client import Gauge, Histogram

from flowdeck.components.training.decide import phase_of, started_at
from flowdeck.kube.objects import ObjectKey, Tree

TRAIN_JOBS = Gauge("kubeflow_trainer_trainjobs", "TrainJobs by phase.", ["phase"])
SUBMIT_TO_RUNNING = Histogram(
    "kubeflow_trainer_trainjob_submit_to_running_seconds",
    "Time from the creation (or last resumption) of a TrainJob until its first pods are ready.",
    buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800),
)


@dataclass(frozen=True)
class Phases:
    """The phase in which each TrainJob was last seen: what the gauge counts."""

    _seen: dict[ObjectKey, str] = field(default_factory=dict)

    def note(self, key: ObjectKey, tree: Tree | None, *, now: datetime) -> None:
        """Takes note of a TrainJob as it is; None: it is gone."""
        before = self._seen.pop(key, None)
        if before is not None:
            TRAIN_JOBS.labels(before).dec()
        if tree is None:
            return
        phase = self._seen[key] = phase_of(tree)
        TRAIN_JOBS.labels(phase).inc()
        if before in ("Created", "Suspended") and phase == "Running":
            SUBMIT_TO_RUNNING.observe((now - started_at(tree)).total_seconds())
