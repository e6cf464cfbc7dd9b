"""Every command of the `kfp` program; run by `test_every_call.py` in the SDK's environment: `every_command.py PART`."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from click.testing import CliRunner
from every_call import waits
from kfp.cli.cli import cli
from kfp.compiler import Compiler

SEEN_ELSEWHERE = {"component build", "diagnose-me"}
"""They ask a container engine, and a cloud's own programs; the server has no part in them."""


def kfp(*words: str, says: str = "", code: int = 0) -> str:
    """What a command prints as a table."""
    done = CliRunner().invoke(cli, [*words], obj={}, input="y\n", catch_exceptions=True)
    assert done.exit_code == code, (words, done.output, done.exception)
    assert says in done.output, (words, done.output)
    return done.output


def told(*words: str) -> Any:
    """What it prints as JSON."""
    output = kfp("--output", "json", *words)
    return json.JSONDecoder().raw_decode(output[re.search(r"^[\[{\"]", output, re.MULTILINE).start() :])[0]


def pipelines() -> None:
    Compiler().compile(waits, "waits.yaml")
    made = told("pipeline", "create", "-p", "typed", "-d", "by hand", "waits.yaml")
    id = made["pipeline_id"]
    assert made["description"] == "by hand"
    second = told("pipeline", "create-version", "-v", "two", "-p", id, "waits.yaml")["pipeline_version_id"]
    told("pipeline", "create-version", "-v", "three", "-n", "typed", "waits.yaml")
    kfp("pipeline", "list", says="typed")
    kfp(
        "pipeline",
        "list",
        "--filter",
        json.dumps({"predicates": [{"operation": 1, "key": "name", "stringValue": "x"}]}),
    )
    kfp("pipeline", "list-versions", id, says="three")
    kfp("pipeline", "get", id, says=id)
    assert told("pipeline", "get-version", id, second)["display_name"] == "two"
    for version in told("pipeline", "list-versions", id):
        kfp("pipeline", "delete-version", id, version["pipeline_version_id"], says="deleted")
    kfp("pipeline", "delete", id, says="deleted")
    kfp("pipeline", "get", id, code=1)


def experiments() -> None:
    id = told("experiment", "create", "-d", "typed", "By hand")["experiment_id"]
    kfp("experiment", "list", "--sort-by", "display_name desc", says="By hand")
    kfp("experiment", "get", id, says=id)
    kfp("experiment", "archive", "--experiment-name", "By hand", says="ARCHIVED")
    kfp("experiment", "unarchive", "--experiment-id", id, says="AVAILABLE")
    kfp("experiment", "delete", id, says="deleted")


def runs() -> None:
    Compiler().compile(waits, "waits.yaml")
    pipeline = told("pipeline", "create", "-p", "run by hand", "waits.yaml")["pipeline_id"]
    (version,) = told("pipeline", "list-versions", pipeline)
    watched = kfp("run", "create", "-e", "Typed", "-r", "watched", "-f", "waits.yaml", "-w", "seconds=0")
    assert "Run is finished with state SUCCEEDED." in watched
    id = told("run", "create", "-e", "Typed", "-r", "waited for", "-f", "waits.yaml", "-t", "120")["run_id"]
    by_ids = told("run", "create", "-e", "Typed", "-p", pipeline, "-v", version["pipeline_version_id"], "-r", "by ids")
    assert by_ids["display_name"] == "by ids"
    experiment = by_ids["experiment_id"]
    kfp("run", "list", "-e", experiment, says="waited for")
    kfp("run", "get", id, says="SUCCEEDED")
    kfp("run", "get", "-w", by_ids["run_id"], says="Run is finished with state SUCCEEDED.")
    kfp("run", "archive", id, says="ARCHIVED")
    kfp("run", "unarchive", id, says="AVAILABLE")
    kfp("run", "delete", id, says="deleted")
    kfp("run", "get", id, code=1)


def recurring_runs() -> None:
    Compiler().compile(waits, "waits.yaml")
    made = told(
        "recurring-run", "create", "--job-name", "by hand", "--experiment-name", "Typed again",
        "--cron-expression", "0 0 0 1 1 *", "--pipeline-package-path", "waits.yaml", "--no-catchup", "--enabled",
    )  # fmt: skip
    id = made["recurring_run_id"]
    kfp("recurring-run", "list", "-e", made["experiment_id"], says="by hand")
    kfp("recurring-run", "get", id, says="ENABLED")
    kfp("recurring-run", "disable", id, says="DISABLED")
    kfp("recurring-run", "enable", id, says="ENABLED")
    kfp("recurring-run", "delete", id, says="deleted")
    kfp("recurring-run", "get", id, code=1)


def dsl() -> None:
    """What `dsl compile` makes is uploaded, and what it makes for kubectl is there for the client once applied."""
    Path("source.py").write_text(
        "from kfp import dsl\n\n\n@dsl.component\ndef say(text: str) -> str:\n    return text\n\n\n"
        "@dsl.pipeline(name='said')\ndef said(text: str = 'x'):\n    say(text=text)\n"
    )
    kfp("dsl", "compile", "--py", "source.py", "--function", "said", "--output", "said.yaml")
    kfp("pipeline", "create", "-p", "compiled", "said.yaml", says="compiled")
    kfp(
        "dsl", "compile", "--py", "source.py", "--function", "said", "--output", "objects.yaml",
        "--kubernetes-manifest-format", "--include-pipeline-manifest", "--namespace", "kubeflow",
        "--pipeline-name", "applied", "--pipeline-version-name", "applied-1",
    )  # fmt: skip
    subprocess.run(["kubectl", "apply", "-f", "objects.yaml"], check=True)
    (found,) = [each for each in told("pipeline", "list") if each["display_name"] == "applied"]
    assert [each["display_name"] for each in told("pipeline", "list-versions", found["pipeline_id"])] == ["applied-1"]


def what_was_seen() -> None:
    """The table of the page names each command that there is, and the parts above type it."""
    commands = set(names(cli)) - SEEN_ELSEWHERE
    text = Path(__file__).read_text()
    typed = {" ".join(words) for words in re.findall(r'"([a-z-]+)",\s+"([a-z-]+)"', text)}
    assert sorted(commands - typed) == []
    page = Path(sys.argv[2]).read_text().partition("<!-- kfp -->")[2].partition("\n## ")[0]
    named = set(re.findall(r"`kfp ([a-z-]+(?: [a-z-]+)?)", page))
    assert sorted(set(names(cli)) - named) == []


def names(group: click.Group, above: str = "") -> Iterator[str]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from names(command, f"{name} ")
        else:
            yield f"{above}{name}"


if __name__ == "__main__":
    globals()[sys.argv[1]]()
