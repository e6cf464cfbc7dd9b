"""TrainJobs, runtimes and JobSets."""

import yaml

from tests.kubectl.kubectl import Kubectl, expect_line, rows
from tests.kubectl.makers import train_job

TORCH = {"trainer.kubeflow.org/framework": "torch"}


def test_a_train_job_runs_on_its_nodes(kubectl: Kubectl) -> None:
    kubectl.apply(train_job(command=["sh", "-c", "echo rank $PET_NODE_RANK of $PET_NNODES"], nodes=2))
    kubectl("wait --for=condition=Complete trainjob/train --timeout=30s")
    assert [row[:2] for row in rows(kubectl("get trainjobs"))] == [["NAME", "STATE"], ["train", "Complete"]]
    assert rows(kubectl("get jobsets"))[0] == ["NAME", "TERMINALSTATE", "RESTARTS", "COMPLETED", "SUSPENDED", "AGE"]
    logs = kubectl("logs -l jobset.sigs.k8s.io/jobset-name=train")
    assert sorted(logs.splitlines()) == ["rank 0 of 2", "rank 1 of 2"]
    assert kubectl("delete trainjob train --cascade=foreground") == 'trainjob.trainer.kubeflow.org "train" deleted\n'
    assert kubectl("get jobsets,jobs,pods -o name") == ""


def test_a_train_job_that_fails_says_so(kubectl: Kubectl) -> None:
    runtime = kubectl.json("get clustertrainingruntime torch-distributed")
    pods = runtime["spec"]["template"]["spec"]["replicatedJobs"][0]["template"]["spec"]
    pods |= {"backoffLimit": 0}
    pods["template"]["spec"]["restartPolicy"] = "Never"
    kubectl.apply({**runtime, "kind": "TrainingRuntime", "metadata": {"name": "once", "labels": TORCH}})
    job = train_job(command=["false"])
    job["spec"]["runtimeRef"] = {"name": "once", "kind": "TrainingRuntime"}
    kubectl.apply(job)
    kubectl("wait --for=condition=Failed trainjob/train --timeout=30s")
    assert rows(kubectl("get trainjobs"))[1][:2] == ["train", "Failed"]


def test_a_train_job_is_suspended_resumed_and_watched(kubectl: Kubectl) -> None:
    kubectl.apply(train_job(command=["sleep", "100000"]))
    kubectl("wait --for=create jobset/train --timeout=30s")
    kubectl("patch trainjob train --type=merge -p", '{"spec":{"suspend":true}}')
    with kubectl.started("get trainjob train --watch") as watching:
        expect_line(watching.stdout, "Suspended")
        kubectl("patch trainjob train --type=merge -p", '{"spec":{"suspend":false}}')
    kubectl("wait --for=jsonpath={.status.jobsStatus[0].ready}=1 trainjob/train --timeout=30s")


def test_runtimes_are_listed_and_described_and_made(kubectl: Kubectl) -> None:
    assert "clustertrainingruntime.trainer.kubeflow.org/torch-distributed\n" in kubectl(
        "get clustertrainingruntimes -o name"
    )
    assert "Ml Policy:\n    Num Nodes:  1\n" in kubectl("describe clustertrainingruntime torch-distributed")
    runtime = kubectl.json("get clustertrainingruntime torch-distributed")
    kubectl.apply({**runtime, "kind": "TrainingRuntime", "metadata": {"name": "own", "labels": TORCH}})
    job = train_job(command=["echo", "on my own runtime"])
    job["spec"]["runtimeRef"] = {"name": "own", "kind": "TrainingRuntime"}
    kubectl.apply(job)
    kubectl("wait --for=condition=Complete trainjob/train --timeout=30s")
    assert kubectl("logs -l jobset.sigs.k8s.io/jobset-name=train") == "on my own runtime\n"


def test_a_mistake_in_a_train_job_is_named(kubectl: Kubectl) -> None:
    job = train_job(command=["true"])
    job["spec"]["trainer"]["numNode"] = 2
    assert 'unknown field "spec.trainer.numNode"' in kubectl.fails("apply -f -", stdin=yaml.safe_dump(job))
    kubectl.apply(train_job(command=["sleep", "1000"]))
    changed = train_job(command=["sleep", "1000"], nodes=1)
    changed["spec"]["runtimeRef"]["name"] = "jax-distributed"
    assert "immutable" in kubectl.fails("apply -f -", stdin=yaml.safe_dump(changed))
