"""A Python container that starts from a warm server is what it would have been, only sooner."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from flowdeck.clock import SystemClock
from flowdeck.embedded.node.images.private import make_private
from flowdeck.embedded.node.sandbox import warm_launch
from flowdeck.embedded.node.sandbox.client import Running, Zygote
from flowdeck.embedded.node.sandbox.driver import NamespacesDriver, PlainDriver
from flowdeck.embedded.node.sandbox.plan import ContainerSpec, Mount, PodSpec
from flowdeck.embedded.node.sandbox.warm import WarmServers, WarmSettings, can_start_warm
from flowdeck.embedded.node.streams.file_events import FolderEvents

PROBE = Path(__file__).with_name("probe.py").read_text()
HEAVY = "import time\nNUMBER = 7\n"
needs_fence = pytest.mark.skipif(
    os.geteuid() != 0 or not warm_launch.can_fence(), reason="warm servers need root, and Landlock that scopes signals"
)


@dataclass
class Ended:
    """How a container ended."""

    code: int
    lines: list[str]
    errors: str

    @property
    def seen(self) -> dict[str, Any]:
        return dict(json.loads(self.lines[0]))


@dataclass
class Scene:
    """A pod, and an environment with a module `heavy` that its warm server imports."""

    folder: Path
    driver: NamespacesDriver
    warm: WarmServers
    zygote: Zygote
    environment: Path
    count: int = 0
    pids: list[int] = field(default_factory=list)

    async def begin(
        self,
        *argv: str,
        env: Mapping[str, str] | None = None,
        warm: bool = True,
        files: Mapping[str, str] | None = None,
        **more: Any,
    ) -> Running:
        self.count += 1
        folder = self.folder / "pod" / str(self.count)
        folder.mkdir()
        source = self.folder / "source" / str(self.count)
        source.mkdir(parents=True)
        for name, text in (files or {"probe.py": PROBE}).items():
            (source / name).write_text(text)
        python = make_private(self.environment, folder / "python")
        user = {name: more[name] for name in ("user", "group") if name in more}
        if user:
            make_private(self.environment, folder / "python", **user)
        return await self.driver.start(
            ContainerSpec(
                id="0" * 64, folder=folder, pod_folder=self.folder / "pod", argv=argv, env=env or {}, cwd="/src",
                log=folder / "log", log_max_bytes=1 << 24, log_max_files=1, environment=python,
                shared_environment=self.environment, preload=["heavy", "no_such_module", "tempfile"] if warm else [],
                keep_warm=True, mounts=[Mount(source=source, target="/src")], **more,
            )
        )  # fmt: skip

    async def end(self, running: Running) -> Ended:
        assert await running.started() == ""
        ended = await running.ended()
        running.close()
        assert ended is not None
        log = (running.folder / "log").read_text().splitlines()
        parts = [line.split(" ", 3) for line in log]
        folder = str(running.folder)
        lines = [text.replace(folder, "ATTEMPT") for _, stream, _, text in parts if stream == "stdout"]
        errors = "\n".join(text for _, stream, _, text in parts if stream == "stderr")
        return Ended(ended["exit_code"], lines, errors)

    async def run(self, *argv: str, **more: Any) -> Ended:
        return await self.end(await self.begin(*argv, **more))

    @property
    def server(self) -> int:
        """The process of the only warm server, once it is ready; 0 until then."""
        for environment in list(self.warm._servers):
            found = self.warm._current(environment)
            if found is not None and found.is_ready:
                return found.pid
        return 0

    async def warmed(self) -> int:
        """Waits for a server that is ready."""
        await self.run("python", "-c", "pass")
        async with asyncio.timeout(20):
            while not self.server:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.02)
        return self.server


PYTHON = os.environ.get("FLOWDECK_TEST_PYTHON", sys.executable)


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """With an environment, in which is a module `heavy`."""
    folder = Path("/var/tmp") / f"flowdeck-test-{os.getpid()}-{tmp_path_factory.mktemp('warm').name}"
    environment = folder / "environment"
    folder.mkdir()
    subprocess.run([PYTHON, "-m", "venv", "--without-pip", str(environment)], check=True)
    (packages_of(environment) / "heavy.py").write_text(HEAVY)
    yield folder
    subprocess.run(["rm", "-rf", str(folder)], check=False)


def packages_of(environment: Path) -> Path:
    return next((environment / "lib").glob("python3.*")) / "site-packages"


@pytest.fixture
async def scene(folder: Path) -> AsyncIterator[Scene]:
    environment = folder / "environment"
    zygote = Zygote(folder / "zygote.log")
    driver = NamespacesDriver(zygote, [folder])
    warm = driver.keep_warm(folder / "warm", WarmSettings(), SystemClock())
    assert warm is not None
    await driver.hold(PodSpec(folder=folder / "pod", hostname="one"))
    scene = Scene(folder, driver, warm, zygote, environment)
    yield scene
    await driver.release(folder / "pod")
    warm.close()
    zygote.stop()


def flat(tree: Mapping[str, Any]) -> dict[str, Any]:
    """One entry a fact: differences are told one by one."""
    return {
        f"{name} {inner}": fact
        for name, value in tree.items()
        for inner, fact in (value.items() if isinstance(value, dict) else [("", value)])
    }


COMMANDS: Sequence[tuple[str, ...]] = [
    ("python", "probe.py", "1", "two words"),
    ("python3", "/src/probe.py"),
    ("python", "./probe.py", "raise"),
    ("python", "-m", "probe", "3"),
    ("python", "-m", "probe", "raise"),
    ("python", "-c", PROBE, "4"),
    ("python", "-c", PROBE, "raise"),
    ("python", "probe.py", "interrupt"),
]


@needs_fence
@pytest.mark.parametrize(
    ("user", "command"),
    [*((None, command) for command in COMMANDS), *((1000, command) for command in COMMANDS[::3])],
    ids=lambda value: " ".join(word[:12] for word in value[:3]) if isinstance(value, tuple) else str(value),
)
async def test_a_program_sees_no_difference(scene: Scene, user: int | None, command: Sequence[str]) -> None:
    more: dict[str, Any] = {"env": {"PLAIN": "värde", "EMPTY": ""}, "limits": {"RLIMIT_NOFILE": 512}}
    if user:
        more |= {"user": user, "group": user, "groups": [user, 77]}
    await scene.warmed()
    cold = await scene.run(*command, warm=False, **more)
    warm = await scene.run(*command, **more)
    assert (cold.seen["preloaded"], warm.seen["preloaded"]) == (False, True)
    expected, found = flat(cold.seen["seen"]), flat(warm.seen["seen"])
    different = {name: (expected[name], found.get(name)) for name in expected if found.get(name) != expected[name]}
    assert different == {}
    assert warm.lines[1:] == cold.lines[1:]
    assert warm.errors == cold.errors
    assert warm.code == cold.code


FUNCTION = """
read -r -d '' SCRIPT << EOM

{code}

EOM
printf "%s" "$SCRIPT" > "probe.py"
python "probe.py\""""
"""What the official SDK makes of a function (constants.EXEC_FUNC_SCRIPT)."""


@needs_fence
@pytest.mark.parametrize(
    "script",
    [
        "python probe.py 3 words",
        "python3 -m probe raise",
        FUNCTION.format(code=PROBE.replace("$", "")),
        FUNCTION.format(code=PROBE.replace("$", "") + '\n    print("$HOME")\n    raise KeyError'),
    ],
    ids=["plain", "module", "function", "function-that-fails"],
)
async def test_the_last_command_of_a_shells_script_sees_no_difference(scene: Scene, script: str) -> None:
    more: dict[str, Any] = {"env": {"PLAIN": "värde", "EMPTY": "", "SHLVL": "4", "SCRIPT": "exported"}}
    await scene.warmed()
    cold = await scene.run("bash", "-c", script, warm=False, **more)
    warm = await scene.run("bash", "-c", script, **more)
    assert (cold.seen["preloaded"], warm.seen["preloaded"]) == (False, True)
    expected, found = flat(cold.seen["seen"]), flat(warm.seen["seen"])
    different = {name: (expected[name], found.get(name)) for name in expected if found.get(name) != expected[name]}
    assert different == {}
    assert (warm.lines[1:], warm.errors, warm.code) == (cold.lines[1:], cold.errors, cold.code)


@needs_fence
@pytest.mark.parametrize(
    ("script", "code"),
    [
        ("python missing.py", 2),
        (FUNCTION.format(code="import sys; sys.exit(5)"), 5),
        (FUNCTION.format(code="import os; os.kill(os.getpid(), 15)"), 143),
        (FUNCTION.format(code="no python"), 1),
        ("python $(echo probe.py) 7", 7),
    ],
)
async def test_a_shells_exit_code_is_its_last_commands(scene: Scene, script: str, code: int) -> None:
    await scene.warmed()
    cold, warm = await scene.run("bash", "-c", script, warm=False), await scene.run("bash", "-c", script)
    assert (warm.code, warm.errors) == (cold.code, cold.errors)
    assert warm.code == code


@needs_fence
async def test_each_start_has_its_own_randomness(scene: Scene) -> None:
    await scene.warmed()
    code = "import random, tempfile, heavy, sys; print(random.random(), tempfile.mktemp(), 'heavy' in sys.modules)"
    assert len({(await scene.run("python", "-c", code)).lines[0] for _ in range(4)}) == 4


@needs_fence
async def test_a_signal_reaches_it_and_its_code_is_told(scene: Scene) -> None:
    await scene.warmed()
    code = "import signal, sys; signal.signal(15, lambda *_: sys.exit(9)); print('up', flush=True); signal.pause()"
    running = await scene.begin("python", "-c", code)
    assert await running.started() == ""
    with FolderEvents().watching(running.folder) as something:
        async with asyncio.timeout(10):
            while not (running.folder / "log").read_text():
                await something.wait()
                something.clear()
    running.signal(signal.SIGTERM)
    assert (await running.ended() or {})["exit_code"] == 9
    running.close()


@needs_fence
@pytest.mark.parametrize(
    ("argv", "more"),
    [
        (("python", "probe.py"), {"env": {"PYTHONHASHSEED": "1"}}),
        (("python", "probe.py"), {"files": {"probe.py": PROBE, "heavy.py": HEAVY}}),
        (("/usr/bin/env", "python", "probe.py"), {}),
        (("python", "-u", "probe.py"), {}),
    ],
    ids=["a-variable-of-the-interpreter", "a-namesake-beside-the-script", "another-program", "an-option"],
)
async def test_what_needs_an_interpreter_of_its_own_gets_one(
    scene: Scene, argv: Sequence[str], more: dict[str, Any]
) -> None:
    await scene.warmed()
    done = await scene.run(*argv, **more)
    assert done.seen["preloaded"] is False
    assert done.code == 0


@needs_fence
async def test_what_cannot_start_says_so_as_ever(scene: Scene) -> None:
    await scene.warmed()
    for command in (("python", "missing.py"), ("python", "-m", "missing"), ("python", "-c", "no python")):
        cold, warm = await scene.run(*command, warm=False), await scene.run(*command)
        assert (warm.code, re.sub(r"/pod/\d+/", "/", warm.errors)) == (
            cold.code,
            re.sub(r"/pod/\d+/", "/", cold.errors),
        )


@needs_fence
async def test_killing_the_server_again_and_again_costs_no_container(scene: Scene) -> None:
    server = await scene.warmed()
    code = "import heavy; print(heavy.NUMBER)"
    started = 0
    while started < 40:
        batch = await asyncio.gather(*(scene.begin("python", "-c", code) for _ in range(4)))
        if server:
            os.kill(server, signal.SIGKILL)
        ended = await asyncio.gather(*map(scene.end, batch))
        assert [(done.code, done.lines) for done in ended] == [(0, ["7"])] * 4
        started += 4
        server = await scene.warmed()


@needs_fence
async def test_a_server_begins_anew_when_its_environment_changes(scene: Scene) -> None:
    server = await scene.warmed()
    packages = packages_of(scene.environment)
    (packages / "more.py").write_text("")
    assert (await scene.run("python", "-c", "import more, sys; print('heavy' in sys.modules)")).lines == ["False"]
    assert await scene.warmed() != server


@needs_fence
async def test_a_server_has_nothing_of_the_platform(scene: Scene) -> None:
    look_at(await scene.warmed(), scene)


def look_at(server: int, scene: Scene) -> None:
    status = dict(line.split(":\t", 1) for line in Path(f"/proc/{server}/status").read_text().splitlines())
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert os.stat(f"/proc/{server}/ns/net").st_ino != os.stat("/proc/self/ns/net").st_ino
    assert not os.path.exists(f"/proc/{server}/root{scene.folder}/pod")
    assert "flowdeck" not in Path(f"/proc/{server}/environ").read_text().replace(str(scene.environment), "")
    assert {os.readlink(f"/proc/{server}/fd/{fd}")[:6] for fd in os.listdir(f"/proc/{server}/fd")} <= {
        "/dev/n",
        "socket",
    }


HOSTILE = """
import os, sys
def told(what, do):
    try:
        do()
    except OSError as error:
        return
    print(what, file=sys.stderr)
    os._exit(3)
me = os.getpid()
told("see", lambda: [name for name in os.listdir("/proc") if name.isdigit() and int(name) != me] or os.stat("/no"))
for pid in range(1, me):
    told("signal", lambda: os.kill(pid, 0))
    told("cmdline", lambda: open(f"/proc/{pid}/cmdline").read())
    told("root", lambda: os.listdir(f"/proc/{pid}/root"))
    told("ns", lambda: os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY))
told("mknod", lambda: os.mknod("/tmp/disk", 0o60600, os.makedev(254, 0)))
told("write", lambda: open("/proc/sysrq-trigger", "w"))
NUMBER = 1
"""


@needs_fence
async def test_a_hostile_package_gets_nowhere_from_the_server(scene: Scene) -> None:
    packages = packages_of(scene.environment)
    (packages / "heavy.py").write_text(HOSTILE)
    await scene.warmed()  # a module that achieves anything ends the server before it is ready


@pytest.mark.parametrize(
    ("argv", "env", "can"),
    [
        (("python", "a.py"), {}, True),
        (("python3.11", "-m", "a", "-x"), {}, True),
        (("/e/bin/python", "-c", "pass"), {"HOME": "/", "JAX_PROCESS_ID": "0", "PET_NNODES": "2"}, True),
        (("python",), {}, False),
        (("python", "-"), {}, False),
        (("python", "-c"), {}, False),
        (("python", "-O", "a.py"), {}, False),
        (("bin/python", "a.py"), {}, False),
        (("bash", "-c", "python a.py"), {}, True),
        (("bash", "-c", "python a.py"), {"BASH_ENV": "x"}, False),
        (("bash", "-c", "python -u a.py"), {}, False),
        (("bash", "-c", "python a.py | cat"), {}, False),
        (("bash", "-c", "python a.py; true"), {}, False),
        (("bash", "-c", "cd /; python a.py"), {}, False),
        (("bash", "-c", "A=1 python a.py"), {}, False),
        (("bash", "-c", "python $A"), {}, False),
        (("bash", "-x", "-c", "python a.py"), {}, False),
        (("sh", "-c", "python a.py"), {}, False),
        (("bash", "-c", FUNCTION.format(code="print('$HOME')")), {}, True),
        (("bash", "-c", FUNCTION.format(code="print('$(id)')")), {}, False),
        (("bash", "-c", FUNCTION.format(code="1\nEOM\ntrue")), {}, False),
        (("bash", "-c", FUNCTION.replace("\n\nEOM", "\\\nEOM").format(code="1")), {}, False),
        (("bash", "-c", "pip install x\n" + FUNCTION.format(code="1")), {}, False),
        (("python", "a.py"), {"OMP_NUM_THREADS": "1"}, False),
        (("python", "a.py"), {"PYTHONUNBUFFERED": "1"}, False),
        (("python", "a.py"), {"LD_PRELOAD": "x"}, False),
    ],
)  # fmt: skip
def test_which_commands_can_start_warm(argv: Sequence[str], env: Mapping[str, str], can: bool) -> None:
    spec = ContainerSpec(
        id="0", folder=Path(), pod_folder=Path(), argv=argv, env=env, log=Path(), log_max_bytes=0, log_max_files=1,
        preload=["heavy"],
    )  # fmt: skip
    assert can_start_warm(spec) is can


def test_the_plain_driver_has_no_warm_servers(tmp_path: Path) -> None:
    driver = PlainDriver(Zygote(tmp_path / "log"), [])
    assert driver.keep_warm(tmp_path, WarmSettings(), SystemClock()) is None
