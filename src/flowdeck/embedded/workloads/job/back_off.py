"""When a failed pod may be replaced, and when there have been failures enough."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from flowdeck.embedded.workloads.job.pods import failures_of, finish_time, ignored_failures_of, is_failed
from flowdeck.embedded.workloads.job.spec import Job
from flowdeck.embedded.workloads.pods import phase_of
from flowdeck.kube.objects import Tree, get_in


@dataclass(frozen=True)
class BackOff:
    """The wait before failed pods are replaced: doubles with each failure in a row."""

    start_s: float = 1.0
    """After the first failure; Kubernetes waits 10 s, which is long on a laptop."""
    limit_s: float = 360.0

    def after(self, failures: int) -> float:
        return 0.0 if failures <= 0 else min(self.start_s * 2 ** min(failures - 1, 30), self.limit_s)


def wait_for_all_s(job: Job, pods: Iterable[Tree], back_off: BackOff, now: datetime) -> float:
    """Seconds until new pods may be created, by the failures since the last success."""
    failed = sorted(finish_time(pod) for pod in pods if is_failed(pod, job))
    successes = [finish_time(pod) for pod in pods if phase_of(pod) == "Succeeded"]
    since = [moment for moment in failed if not successes or moment > max(successes)]
    return _left_s(since[-1], len(since), back_off, now) if since else 0.0


def wait_for_index_s(replaced: Tree, back_off: BackOff, now: datetime) -> float:
    """Seconds until the pod of one index may be replaced."""
    failures = failures_of(replaced) + ignored_failures_of(replaced) + 1
    return _left_s(finish_time(replaced), failures, back_off, now)


def _left_s(last: datetime, failures: int, back_off: BackOff, now: datetime) -> float:
    return max(0.0, back_off.after(failures) - max(0.0, (now - last).total_seconds()))


def is_limit_reached(job: Job, pods: Sequence[Tree], failed: int) -> bool:
    """True when failed pods, or restarts of containers where they are restarted, use up `backoffLimit`."""
    if failed > job.backoff_limit:
        return True
    if not job.restarts_containers:
        return False
    restarts = sum(_restarts(pod) for pod in pods if phase_of(pod) in ("Pending", "Running"))
    return restarts > 0 if job.backoff_limit == 0 else restarts >= job.backoff_limit


def _restarts(pod: Tree) -> int:
    fields = ("initContainerStatuses", "containerStatuses")
    return sum(s.get("restartCount", 0) for f in fields for s in get_in(pod, "status", f, default=()))
