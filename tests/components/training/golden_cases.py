"""The cases of the golden tests: every shipped runtime with six TrainJobs.

python -m tests.components.training.golden_cases      writes golden/<runtime>.yaml anew; read the difference
"""

from pathlib import Path

import yaml

from flowdeck.components.training.frameworks import FRAMEWORKS
from flowdeck.components.training.gang import GANGS
from flowdeck.components.training.merge import build
from flowdeck.components.training.runtime_types import runtime_of
from flowdeck.components.training.runtimes import shipped_runtimes
from flowdeck.components.training.types import train_job_of
from flowdeck.kube.kinds import SECRET
from flowdeck.kube.objects import Tree
from tests.components.training.makers import a_train_job

FOLDER = Path(__file__).parent / "golden"
RUNTIMES = {runtime["metadata"]["name"]: runtime for runtime in shipped_runtimes()}

GPUS = {"limits": {"nvidia.com/gpu": 2.0, "memory": "16Gi"}, "requests": {"nvidia.com/gpu": 2.0, "cpu": 4.0}}
USER = {
    "image": "registry.example/user:1",
    "command": ["python", "train.py"],
    "args": ["--epochs", "3"],
    "env": [{"name": "USER_SAYS", "value": "hello"}],
}


def patch_of(runtime: str) -> Tree:
    """A patch as Kueue makes it: places the pods of job `node`, and marks the JobSet."""
    pod = {
        "metadata": {"labels": {"patched": "pod"}},
        "spec": {
            "nodeSelector": {"pool": "a100"},
            "tolerations": [{"key": "gpu", "operator": "Exists"}],
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
            "containers": [{"name": "node", "volumeMounts": [{"name": "data", "mountPath": "/data"}]}],
        },
    }
    job = {"name": "node", "template": {"metadata": {"labels": {"patched": "job"}}, "spec": {"template": pod}}}
    template = {"metadata": {"labels": {"patched": "set"}}, "spec": {"replicatedJobs": [job]}}
    return {"manager": "example.com/placer", "trainingRuntimeSpec": {"template": template}}


def cases(runtime: str) -> dict[str, Tree]:
    """TrainJobs by the name of the case."""
    return {
        "no trainer": a_train_job(runtime=runtime),
        "1 node": a_train_job(runtime=runtime, trainer={"numNodes": 1} | USER),
        "3 nodes": a_train_job(
            runtime=runtime,
            trainer={"numNodes": 3, "numProcPerNode": 2, "resourcesPerNode": {"limits": {"cpu": 2.5}}},
        ),
        "gpu": a_train_job(runtime=runtime, trainer={"numNodes": 2, "resourcesPerNode": GPUS}),
        "patches": a_train_job(runtime=runtime, trainer={}, runtimePatches=[patch_of(runtime)]),
        "suspend": a_train_job(runtime=runtime, trainer={}, suspend=True),
    }


def built(runtime: str, job: Tree) -> list[Tree]:
    """What a TrainJob leads to; of Secrets, which hold random keys, only the metadata."""
    draft = build(train_job_of(job), runtime_of(RUNTIMES[runtime]), (*FRAMEWORKS, *GANGS))
    objects = [wanted.make() for wanted in draft.objects]
    return [
        {field: value for field, value in obj.items() if field != "data"} if obj["kind"] == SECRET.kind else obj
        for obj in objects
    ]


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: object) -> bool:
        return True


def main() -> None:
    for runtime in RUNTIMES:
        expected = {name: built(runtime, job) for name, job in cases(runtime).items()}
        text = yaml.dump(expected, Dumper=_Dumper, sort_keys=False, width=110)
        (FOLDER / f"{runtime}.yaml").write_text(text)


if __name__ == "__main__":
    main()
