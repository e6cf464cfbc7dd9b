"""The program around a Python component's own in its pod. Standard library alone, Python 3.7 or newer: users' images
run it. Components that are told of no executor input do without.

    python3 launcher.py FOLDER [PATH ...]     FOLDER is the task's; it and the PATHs are where things are mounted

    FOLDER/.launch.json     {"command": [...], "outputFile": "...", "paths": [...], "uris": {uri: path},
                             "artifacts": {name: [{"uri", "path"}]}}

It runs the command as its child, hands signals on, and ends as that ends. What a program put elsewhere (`custom_path`)
is moved to where it was announced.

**Bootstraps.** The SDK makes of a Python function `sh -c "pip install ...; exec the rest" sh -ec "write the source to a
file; python3 -m kfp.dsl.executor_main ..." SOURCE ARGUMENTS`. Where all that it would install is there already, this
interpreter does what is left: it writes the file, and becomes that module. What is not known word by word is run as it
stands.

**Moved paths.** Where volumes cannot be mounted at their paths (a node without mount rights), PATHs on the command line
are not what `paths` says: the node has put the true ones there. The program is then told those in place of paths and
URIs, as the SDK's own local runner does, and the URIs that it writes are turned back.

Source: kubeflow/pipelines (backend/src/v2/component/launcher_v2.go, sdk/python/kfp/dsl/component_factory.py).
"""

from __future__ import annotations

import atexit
import json
import os
import re
import shlex
import signal
import sys
import types
from collections.abc import Iterator
from typing import Any

_MODULE = "kfp.dsl.executor_main"
_HEAD = re.compile(
    r'\s*if ! \[ -x "\$\(command -v pip\)" \]; then\s+python3 -m ensurepip \|\| python3 -m ensurepip --user'
    r" \|\| apt-get install python3-pip\s+fi\s+(.*)",
    re.DOTALL,
)
_TAIL = '"$0" "$@"'
_PIP = ["python3", "-m", "pip", "install", "--quiet", "--no-warn-script-location"]
_QUIET = "PIP_DISABLE_PIP_VERSION_CHECK=1"
_ORDINARY_INDEX = "https://pypi.org/simple"
_NO_DEPENDENCIES = "--no-deps"
_OLD_PYTHONS_ONLY = 'typing-extensions>=3.7.4,<5; python_version<"3.9"'
_PROGRAM = (
    'program_path=$(mktemp -d) printf "%s" "$0" > "$program_path/ephemeral_component.py" _KFP_RUNTIME=true python3 -m '
    + _MODULE
    + ' --component_module_path "$program_path/ephemeral_component.py" "$@"'
)
_OWN_START = re.compile(r"PYTHON.*|PIP_(?:TARGET|USER|PREFIX|ROOT|UPGRADE|FORCE_REINSTALL|REQUIRE_VIRTUALENV)")
"""Variables that change how an interpreter starts, or what pip does although everything is there."""
_REQUIREMENT = re.compile(r"([A-Za-z0-9][\w.-]*)(?:==([\w.+!-]+))?")
_LONGEST_ARGUMENT = 128 * 1024 - 1
"""Bytes of one argument of a program, as Linux takes it."""
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Bootstrap:
    """What the command of a Python function consists of."""

    def __init__(self, packages: list[str], bare: list[str], source: str, arguments: list[str]) -> None:
        self.packages = packages
        """Requirements that pip would install..."""
        self.bare = bare
        """... and those without what they depend on."""
        self.source = source
        self.arguments = arguments


def bootstrap_of(command: list[str]) -> Bootstrap | None:
    """The parts of a command that the SDK made of a function; None for any other, and where packages come from an
    index of their own.

    >>> bootstrap_of(["echo", "hello"]) is None
    True
    """
    if len(command) < 6 or command[:2] != ["sh", "-c"] or command[3] != "sh" or command[4] not in ("-ec", "-c"):
        return None
    if len(command) < 7 or " ".join(command[5].split()) != _PROGRAM:
        return None
    head = _HEAD.fullmatch(command[2])
    if head is None:
        return None
    steps = [step.strip() for step in head.group(1).split("&&")]
    packages: list[str] = []
    bare: list[str] = []
    for step in steps[:-1]:
        wanted = _installed_by(step)
        if wanted is None:
            return None
        (bare if _NO_DEPENDENCIES in wanted else packages).extend(
            each for each in wanted if each not in (_NO_DEPENDENCIES, _OLD_PYTHONS_ONLY)
        )
    if steps[-1] != _TAIL:
        return None
    return Bootstrap(packages, bare, command[6], command[7:])


def _installed_by(step: str) -> list[str] | None:
    """The words after `pip install`; None for another command."""
    try:
        words = shlex.split(step)
    except ValueError:
        return None
    if words[:1] == [_QUIET]:
        words = words[1:]
    if words[: len(_PIP)] != _PIP:
        return None
    rest = words[len(_PIP) :]
    while rest[:1] in (["--index-url"], ["--trusted-host"]):
        if rest[1:2] != [_ORDINARY_INDEX]:
            return None
        rest = rest[2:]
    return None if any(word.startswith("-") and word != _NO_DEPENDENCIES for word in rest) else rest


# ---- in the pod --------------------------------------------------------------------------------------------------


def main(places: list[str]) -> int:
    with open(os.path.join(places[0], ".launch.json"), encoding="utf-8") as file:
        launch = json.load(file)
    moves = Moves(launch, places)
    command = [moves.there(word) for word in launch["command"]]
    bootstrap = bootstrap_of(command)
    if bootstrap is not None and may_become(bootstrap):
        atexit.register(finish_or_fail, launch, moves)  # when its threads have ended, too
        become(bootstrap)
        return 0
    code = run(command, bootstrap)
    if code == 0:
        finish(launch, moves)
    return code


class Moves:
    """Where paths and URIs of the task are on this machine, if that is elsewhere."""

    def __init__(self, launch: dict[str, Any], places: list[str]) -> None:
        moved = {path: place for path, place in zip(launch["paths"], places) if path != place}  # noqa: B905 - 3.10
        self._places: dict[str, str] = {}
        for path in sorted(moved, key=len):
            self._places[path] = moved[path]
        for uri, path in launch["uris"].items():
            if self._here(path) != path:
                self._places[uri] = self._here(path)
        self._uris: dict[str, str] = {self._here(path): uri for uri, path in launch["uris"].items()}
        known = "|".join(re.escape(path) for path in sorted(self._places, key=len, reverse=True))
        self._pattern = re.compile(rf"(?<![\w.-])(?:{known})(?=$|[^\w.-]|\.(?:$|\W))") if known else None

    def _here(self, path: str) -> str:
        for start in sorted(self._places, key=len, reverse=True):
            if path == start or path.startswith(start + "/"):
                return self._places[start] + path[len(start) :]
        return path

    def there(self, text: str) -> str:
        """A text for the program."""
        if self._pattern is None:
            return text
        return str(self._pattern.sub(lambda found: self._places[found.group(0)], text))

    def uri(self, text: str) -> str:
        """The URI of what a program wrote as one."""
        for place in sorted(self._uris, key=len, reverse=True):
            if text == place or text.startswith(place + "/"):
                return self._uris[place] + text[len(place) :]
        return text


def run(command: list[str], bootstrap: Bootstrap | None) -> int:
    """The exit code; a program that a signal ended counts as a shell would say."""
    if (
        bootstrap is not None
        and any(len(os.fsencode(word)) > _LONGEST_ARGUMENT for word in command)
        and "--installed" not in sys.argv
    ):
        # no program can be given such an argument: the script's packages are installed, then all is done here
        code = run_program([*command[:3], "true"])
        if code == 0:
            os.execv(sys.executable, [sys.executable, *sys.argv, "--installed"])
        return code
    return run_program(command)


def run_program(command: list[str]) -> int:
    import subprocess

    try:
        child = subprocess.Popen(command, env=variables())
    except FileNotFoundError:
        print(f"cannot run {command[0]!r}: there is no such program in the image", file=sys.stderr)
        return 127
    except OSError as error:
        print(f"cannot run {command[0]!r}: {error.strerror}", file=sys.stderr)
        return 126
    return await_end(child.pid)


def variables() -> dict[str, str]:
    """Those that this program was given: where there is no locale, Python adds one of its own."""
    env = dict(os.environ)  # noqa: TID251
    try:
        with open("/proc/self/environ", "rb") as file:
            if b"\0LC_CTYPE=" not in b"\0" + file.read():
                env.pop("LC_CTYPE", None)
    except OSError:  # not on Linux
        pass
    return env


def await_end(child: int) -> int:
    for number in _SIGNALS:
        signal.signal(number, lambda number, _frame: os.kill(child, number))
    _, status = os.waitpid(child, 0)
    return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def finish(launch: dict[str, Any], moves: Moves) -> None:
    """What the program said of its artifacts, as others shall read it."""
    try:
        with open(moves.there(launch["outputFile"]), encoding="utf-8") as file:
            output = json.load(file)
        written = output.get("artifacts") or {}
        for name, given in written.items():
            announced = launch["artifacts"].get(name) or []
            for at, artifact in enumerate(given.get("artifacts") or []):
                if artifact.get("uri"):
                    artifact["uri"] = moves.uri(artifact["uri"])
                if at < len(announced):
                    _place(artifact, moves.there(announced[at]["path"]))
    except (OSError, ValueError, AttributeError, TypeError):
        return  # nothing was written, or nonsense: whoever reads it tells
    if written:
        write(moves.there(launch["outputFile"]), json.dumps(output))


def finish_or_fail(launch: dict[str, Any], moves: Moves) -> None:
    """At the end of this interpreter."""
    try:
        finish(launch, moves)
    except OSError as error:
        print(f"what the program made could not be put in its place: {error}", file=sys.stderr, flush=True)
        os._exit(1)


def _place(artifact: dict[str, Any], place: str) -> None:
    custom = artifact.get("custom_path") or artifact.get("customPath")
    if custom and os.path.exists(custom) and not os.path.exists(place):
        import shutil

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


# ---- a function, without the way to it ---------------------------------------------------------------------------


def may_become(bootstrap: Bootstrap) -> bool:
    """Whether the script would install nothing, and its Python be as this one is."""
    programs = os.path.dirname(sys.executable)
    return (
        sys.version_info >= (3, 9)
        and which("python3") == os.path.join(programs, "python3")
        and os.path.basename(sys.executable).startswith("python")
        and which("pip") != ""
        and not any(_OWN_START.fullmatch(name) for name in os.environ)  # noqa: TID251
        and not {name.partition(".")[0] for name in os.listdir()} & set(sys.modules)
        and are_there(bootstrap.packages + bootstrap.bare)
    )


def which(name: str) -> str:
    """The program that a shell would start; empty: none."""
    places = os.environ.get("PATH", "").split(os.pathsep)  # noqa: TID251
    found = (os.path.join(place, name) for place in places)
    return next((path for path in found if os.access(path, os.X_OK)), "")


def are_there(requirements: list[str]) -> bool:
    """Whether pip would say "already satisfied"; False where only pip knows."""
    installed = dict(_installed())
    for requirement in requirements:
        simple = _REQUIREMENT.fullmatch(requirement)
        name = simple.group(1) if simple else re.split(r"[^\w.-]", requirement, maxsplit=1)[0]
        version = installed.get(_normal(name))
        if version is None or not (simple.group(2) in (None, version) if simple else _fits(requirement, version)):
            return False
    return True


def _installed() -> Iterator[tuple[str, str]]:
    """Normalised names and versions; as `importlib.metadata`, which takes longer to import than all this takes."""
    for folder in reversed(sys.path):
        if os.path.isdir(folder):
            for entry in os.listdir(folder):
                if entry.endswith(".dist-info"):
                    name, _, version = entry[: -len(".dist-info")].rpartition("-")
                    yield _normal(name), version


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _fits(requirement: str, version: str) -> bool:
    try:
        from pip._vendor.packaging.requirements import Requirement  # type: ignore[import-not-found]

        wanted = Requirement(requirement)
    except (ImportError, ValueError):
        return False
    return not (wanted.extras or wanted.url or wanted.marker) and version in wanted.specifier


def become(bootstrap: Bootstrap) -> None:
    """Does what `sh` and `python3 -m` would do; returns where that Python would end."""
    folder = os.path.join(os.environ.get("TMPDIR") or "/tmp", f"tmp.{os.urandom(5).hex()}")  # noqa: TID251 - `mktemp -d`
    os.mkdir(folder, 0o700)
    source = os.path.join(folder, "ephemeral_component.py")
    with open(source, "w", encoding="utf-8") as file:
        file.write(bootstrap.source)
    words = ["-m", _MODULE, "--component_module_path", source, *bootstrap.arguments]
    os.environ.update(_KFP_RUNTIME="true", PWD=os.getcwd())  # noqa: TID251 - as any shell
    if hasattr(sys, "orig_argv"):
        sys.orig_argv[:] = ["python3", *words]
    sys.argv[:] = ["-m", *words[2:]]
    sys.path[0] = os.getcwd()
    fresh = types.ModuleType("__main__")
    vars(fresh)["__builtins__"] = __builtins__
    sys.modules["__main__"] = fresh
    _run_module()


def _run_module() -> None:
    import runpy

    start = vars(runpy)["_run_module_as_main"]
    try:
        start(_MODULE, True)
    except SystemExit:
        raise
    except BaseException as error:  # noqa: BLE001 - told as the interpreter tells it
        trace = error.__traceback__ and error.__traceback__.tb_next
        sys.excepthook(type(error), error.with_traceback(trace), trace)
        if isinstance(error, KeyboardInterrupt):
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGINT)
        sys.exit(1)


if __name__ == "__main__":
    sys.exit(main([word for word in sys.argv[1:] if word != "--installed"]))
