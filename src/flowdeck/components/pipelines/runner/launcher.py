"""The program that wraps a task's own in its pod. Standard library alone, Python 3.7 or newer: users' images run it.

    python3 launcher.py FOLDER      FOLDER is the task's, shared with whoever started the pod

    FOLDER/.launch.json      read: {"command": [...], "outputFile": "...", "parameters": {name: file},
                             "artifacts": {name: [{"uri", "path"}]}}
    FOLDER/.outputs.json     written when the program ended well: {"output": what it wrote to outputFile or null,
                             "parameters": {name: text of its file}}

It makes the folders of what shall be written, runs the program as its child, hands signals on, and ends as it ends. A
program that put an artifact elsewhere (`custom_path`) finds it moved to where it was announced.

Source: kubeflow/pipelines (backend/src/v2/component/launcher_v2.go)
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from typing import Any


def main(folder: str) -> int:
    with open(os.path.join(folder, ".launch.json"), encoding="utf-8") as file:
        launch = json.load(file)
    make_folders(launch)
    code = run(launch["command"])
    if code != 0:
        return code
    output = read_output(launch["outputFile"])
    place_artifacts(launch, output)
    collected = {"output": output, "parameters": read_parameters(launch)}
    write(os.path.join(folder, ".outputs.json"), json.dumps(collected))
    return 0


def make_folders(launch: dict[str, Any]) -> None:
    paths = [launch["outputFile"], *launch["parameters"].values()]
    paths += [artifact["path"] for found in launch["artifacts"].values() for artifact in found]
    for path in paths:
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)


def run(command: list[str]) -> int:
    """The exit code; a program that a signal ended counts as a shell would say."""
    try:
        child = subprocess.Popen(command)
    except FileNotFoundError:
        print(f"cannot run {command[0]!r}: there is no such program in the image", file=sys.stderr)
        return 127
    except PermissionError:
        print(f"cannot run {command[0]!r}: it may not be executed", file=sys.stderr)
        return 126
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda number, _frame: child.send_signal(number))
    code = child.wait()
    return code if code >= 0 else 128 - code


def read_output(path: str) -> Any:
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except FileNotFoundError:
        return None


def read_parameters(launch: dict[str, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, path in launch["parameters"].items():
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                found[name] = file.read()
        except FileNotFoundError:
            pass
    return found


def place_artifacts(launch: dict[str, Any], output: Any) -> None:
    """What the program put at a path of its own goes to where others will look for it."""
    for name, given in ((output or {}).get("artifacts") or {}).items():
        announced = launch["artifacts"].get(name) or []
        for at, artifact in enumerate((given.get("artifacts") or [])[: len(announced)]):
            place = announced[at]["path"]
            custom = artifact.get("custom_path") or artifact.get("customPath")
            if custom and os.path.exists(custom) and not os.path.exists(place):
                if os.path.isdir(custom):
                    shutil.copytree(custom, place)
                else:
                    shutil.copy(custom, place)


def write(path: str, text: str) -> None:
    """All of it or nothing."""
    with open(path + ".new", "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(path + ".new", path)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
