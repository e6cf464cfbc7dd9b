"""However often the controller dies and wherever, each pod is counted once."""

import random

import pytest
from job_makers import NOW, a_job, a_pod, step_of

from flowdeck.kube.conditions import finished_type
from flowdeck.kube.objects import copy_of, uid_of


class PaperCluster:
    """A Job and its pods on paper. `round` carries a step out, and may die after any single write."""

    def __init__(self, job, seed):
        self.job, self.pods, self.chance = job, {}, random.Random(seed)
        self.failures, self.successes = 0, 0

    def round(self, *, dies):
        if finished_type(self.job):
            return
        step = step_of(self.job, list(self.pods.values()))
        for write in self.writes(step):
            if dies and self.chance.random() < 0.3:
                return
            write()

    def writes(self, step):
        for pod in [*step.forget, *step.stop]:
            yield lambda pod=pod: self.pods.pop(uid_of(pod))
        for pod in step.create:
            yield lambda pod=pod: self.add(pod)
        yield lambda: self.job.update(status={k: copy_of(v) for k, v in step.status.items() if v is not None})
        for pod in step.release:
            yield lambda pod=pod: self.let_go(pod)

    def add(self, pod):
        uid = f"{pod['metadata']['name']}-{len(self.pods)}-{self.chance.random()}"
        index = pod["metadata"]["annotations"].get("batch.kubernetes.io/job-completion-index")
        self.pods[uid] = a_pod(uid=uid, index=index and int(index))

    def let_go(self, pod):
        """Once released, a pod may be deleted by anybody at any moment."""
        self.pods[uid_of(pod)]["metadata"]["finalizers"] = []
        if self.chance.random() < 0.5:
            del self.pods[uid_of(pod)]

    def end_a_pod(self):
        running = [p for p in self.pods.values() if p["status"]["phase"] == "Running"]
        if not running:
            return
        pod = self.chance.choice(running)
        fails = self.chance.random() < 0.3
        self.failures += fails
        self.successes += not fails
        pod["status"] = a_pod("Failed" if fails else "Succeeded")["status"]


@pytest.mark.parametrize("mode", ["Indexed", "NonIndexed"])
@pytest.mark.parametrize("seed", range(15))
def test_no_pod_is_counted_twice_or_lost(mode, seed):
    job = a_job(completions=8, parallelism=3, backoffLimit=1000, completionMode=mode)
    cluster = PaperCluster(job, seed)
    for _ in range(400):
        cluster.end_a_pod()
        cluster.round(dies=True)
    cluster.round(dies=False)
    cluster.round(dies=False)
    assert finished_type(cluster.job) == "Complete"
    status = cluster.job["status"]
    assert status.get("failed", 0) == cluster.failures
    assert status["succeeded"] == cluster.successes == 8
    assert status["startTime"] == f"{NOW:%Y-%m-%dT%H:%M:%SZ}"
