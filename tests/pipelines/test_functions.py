"""Python functions as the SDK sends them run without its bootstrap, and cannot tell."""

import json
import re
from typing import Any

import pytest

from tests.pipelines.conftest import Runner
from tests.pipelines.functions import a_function
from tests.pipelines.makers import a_pipeline, a_task

pytestmark = [pytest.mark.xdist_group("pipelines"), pytest.mark.timeout(300)]

TRAIN = a_function(
    """def train(size: int, model: dsl.Output[dsl.Model]) -> str:
    model.metadata["size"] = size
    with open(model.path, "w") as file:
        file.write("weights")
    return model.uri
""",
    inputs={"size": "NUMBER_INTEGER"},
    outputs={"Output": "STRING"},
    makes={"model": "system.Model"},
)
USE = a_function(
    """def use(model: dsl.Input[dsl.Model]) -> dict:
    with open(model.path) as file:
        return {"text": file.read(), "size": model.metadata["size"], "root": dsl.get_uri()}
""",
    takes={"model": "system.Model"},
    outputs={"Output": "STRUCT"},
)
SEEN = """def look(text: str) -> dict:
    import os, sys, threading
    import importlib.metadata
    own = {name: value for name, value in os.environ.items() if name not in ("_", "PYTHONASYNCIODEBUG", "OLDPWD")}
    return {
        "argv": sys.argv[3:4] + sys.argv[5:6], "path": sys.path, "main": sys.modules["__main__"].__spec__.name,
        "orig": sys.orig_argv[:3], "flags": str(sys.flags), "environment": own, "cwd": os.getcwd(),
        "executable": sys.executable, "prefix": sys.prefix, "umask": os.umask(0o022), "text": text,
        "threads": len(threading.enumerate()), "name": __name__, "place": len(__file__),
        "handles": sorted(os.listdir("/proc/self/fd"))[:3],
        "kfp": importlib.metadata.version("kfp"), "hooks": [str(sys.excepthook), str(sys.displayhook)],
    }
"""
LOOK = a_function(SEEN, inputs={"text": "STRING"}, outputs={"Output": "STRUCT"})


async def outputs_of(runner: Runner, document: Any) -> dict[str, Any]:
    """The output `Output` of each task, by its name."""
    run_id = await runner.submit(document)
    run = await runner.finished(run_id)
    assert (run.state, run.error) == ("SUCCEEDED", "")
    tasks = await runner.tasks(run_id)
    return {
        label.removeprefix("root."): record.output_parameters[0].value
        for label, record in tasks.items()
        if record.output_parameters
    }


async def test_artifacts_and_their_metadata_travel(runner: Runner) -> None:
    document = a_pipeline(
        {"train": TRAIN, "use": USE},
        {"make": a_task("train", size=3), "take": a_task("use", model=("artifact", "make", "model"))},
    )
    run_id = await runner.submit(document)
    run = await runner.finished(run_id)
    assert (run.state, run.error) == ("SUCCEEDED", "")
    tasks = await runner.tasks(run_id)
    (model,) = tasks["root.make"].output_artifacts[0].artifacts
    assert model.uri.startswith(f"{runner.root}/tried/{run_id}/make/")
    assert model.metadata == {"size": 3}
    seen = tasks["root.take"].output_parameters[0].value
    assert (seen["text"], seen["size"]) == ("weights", 3)
    assert f"/{run_id}/take/" in seen["root"]


async def test_an_artifact_that_was_put_elsewhere_is_found_by_who_reads_it(runner: Runner) -> None:
    elsewhere = a_function(
        """def elsewhere(model: dsl.Output[dsl.Model]):
    import os, tempfile
    model.metadata["size"] = 1
    path = os.path.join(tempfile.gettempdir(), "model")
    os.mkdir(path)
    with open(os.path.join(path, "part"), "w") as file:
        file.write("weights")
    model.custom_path = path
""",
        makes={"model": "system.Model"},
    )
    parts = a_function(
        """def parts(model: dsl.Input[dsl.Model]) -> list:
    import os
    return os.listdir(model.path)
""",
        takes={"model": "system.Model"},
        outputs={"Output": "LIST"},
    )
    document = a_pipeline(
        {"make": elsewhere, "take": parts},
        {"make": a_task("make"), "take": a_task("take", model=("artifact", "make", "model"))},
    )
    assert await outputs_of(runner, document) == {"take": ["part"]}


async def test_what_a_function_installs_is_there(runner: Runner) -> None:
    source = "def version() -> str:\n    import tomli_w\n    return tomli_w.__name__\n"
    installs = a_function(source, packages=["tomli-w>=1,<2"], outputs={"Output": "STRING"})
    document = a_pipeline({"version": installs}, {"ask": a_task("version")})
    assert await outputs_of(runner, document) == {"ask": "tomli_w"}


async def test_a_function_sees_what_it_would_see_behind_its_bootstrap(runner: Runner) -> None:
    """A variable that Python reads at its start is what makes the launcher take the long way."""
    document = a_pipeline(
        {"look": LOOK, "slow": LOOK}, {"short": a_task("look", text="a"), "long": a_task("slow", text="a")}
    )
    long = document["deploymentSpec"]["executors"]["exec-slow"]["container"]
    long["env"] = [{"name": "PYTHONASYNCIODEBUG", "value": ""}]
    seen = await outputs_of(runner, document)
    short, long = (comparable(seen[name]) for name in ("short", "long"))
    differing = {key: (short.get(key), long.get(key)) for key in {*short, *long} if short.get(key) != long.get(key)}
    assert differing == {}


def comparable(seen: dict[str, Any]) -> dict[str, Any]:
    """Without what two pods differ in anyway."""
    text = re.sub(r"/tmp\.\w{10}", "/tmp.X", json.dumps(seen))
    for name in ("KFP_POD_NAME", "KFP_POD_UID", "HOSTNAME"):
        text = text.replace(seen["environment"].get(name) or "-none-", name)
    found: dict[str, Any] = json.loads(text)
    environment = found.pop("environment")
    found |= {f"variable {name}": value for name, value in environment.items()}
    return found


async def test_a_parameter_may_be_larger_than_any_argument_of_a_program(runner: Runner) -> None:
    size = a_function("def size(text: str) -> int:\n    return len(text)\n", inputs={"text": "STRING"},
                      outputs={"Output": "NUMBER_INTEGER"})  # fmt: skip
    make = a_function("def make() -> str:\n    return 'x' * 2_000_000\n", outputs={"Output": "STRING"})
    document = a_pipeline(
        {"make": make, "size": size}, {"make": a_task("make"), "size": a_task("size", text=("make", "Output"))}
    )
    assert (await outputs_of(runner, document))["size"] == 2_000_000


async def test_a_function_that_raises_fails_its_task(runner: Runner) -> None:
    bad = a_function("def bad():\n    raise ValueError('no luck')\n")
    run = await runner.finished(await runner.submit(a_pipeline({"bad": bad}, {"bad": a_task("bad")})))
    assert run.state == "FAILED"
    assert "exit code 1" in run.error
