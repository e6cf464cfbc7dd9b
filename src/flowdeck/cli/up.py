"""`flowdeck up`: starts the platform on this machine."""

import os
import select
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from flowdeck.artifacts.settings import ArtifactSettings
from flowdeck.cli.drivers import DriverOption, PodsOption, SimulatedOption, checked_driver
from flowdeck.cli.refusal import Refusal
from flowdeck.cli.stores import ArtifactsOption, DatabaseOption, opened
from flowdeck.cli.target import DataOption, cannot_use, data_folder, exports
from flowdeck.embedded.apiserver.settings import Provider
from flowdeck.settings import EmbeddedNodeSettings, ServerSettings, Settings
from flowdeck.state import read_state
from flowdeck.stores import Stores

READY_S = 90.0
"""How long a start with --detach may take."""
STOP_S = 30.0
IN_FILE = ("jobs", "pipelines", "training")
"""The branches of the settings that have no options."""
TOLD_LINES = 15
"""Of a log, when a start has failed."""


def add_to(app: typer.Typer) -> None:
    app.command(epilog="Example: flowdeck up --detach && export KUBECONFIG=$(flowdeck status --kubeconfig-path)")(up)


def up(
    data: DataOption = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="TCP port of the API server; 0: any free one.")] = 6443,
    detach: Annotated[bool, typer.Option("--detach", help="Return when the platform is ready; it goes on.")] = False,
    disable: Annotated[list[str] | None, typer.Option(help="A component to leave out; may be repeated.")] = None,
    enable: Annotated[
        list[str] | None, typer.Option(help="Run only these components, and what they need; may be repeated.")
    ] = None,
    no_node: Annotated[bool, typer.Option("--no-node", help="Start no node: one may join later.")] = False,
    driver: DriverOption = "auto",
    pods: PodsOption = 0,
    simulated_run_seconds: SimulatedOption = 1.0,
    find_links: Annotated[list[str] | None, typer.Option(help="Folder or URL with wheels for images.")] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Build images from cached packages only.")] = False,
    oidc_issuer_url: Annotated[str, typer.Option(help="OpenID Connect provider whose users are let in.")] = "",
    oidc_client_id: Annotated[str, typer.Option(help="Audience of that provider's tokens.")] = "",
    oidc_username_claim: Annotated[str, typer.Option(help="Claim that names the user.")] = "sub",
    oidc_groups_claim: Annotated[str, typer.Option(help="Claim that names the user's groups.")] = "",
    database: DatabaseOption = "",
    artifacts: ArtifactsOption = "",
    settings_file: Annotated[
        Path | None,
        typer.Option(
            "--settings", help="YAML with what has no option: `jobs`, `pipelines`, `training` (docs/settings.md)."
        ),
    ] = None,
    ready_fd: Annotated[int, typer.Option(hidden=True)] = -1,
) -> None:
    """Start the platform on this machine and run it until it is interrupted. Pods outlive it."""
    settings = Settings(
        data=data_folder(data),
        server=ServerSettings(
            host=host,
            port=port,
            providers=_providers(oidc_issuer_url, oidc_client_id, oidc_username_claim, oidc_groups_claim),
        ),
        node=EmbeddedNodeSettings(
            enabled=not no_node,
            driver=checked_driver(driver),
            pods=pods,
            simulated_run_s=simulated_run_seconds,
            find_links=tuple(find_links or ()),
            offline=offline,
        ),
        database=database,
        artifacts=ArtifactSettings(url=artifacts),
        disabled=_disabled(enable, disable),
    )
    settings = _with_file(settings, settings_file)
    opened(Stores(settings.database, settings.artifacts, settings.data))
    if detach:
        _start_detached(settings)
        return
    from flowdeck.cli.serve import serve

    serve(settings, ready_fd)


def _with_file(settings: Settings, file: Path | None) -> Settings:
    """The settings with what a file says of what has no option."""
    if file is None:
        return settings
    from flowdeck.settings_tree import SettingsError, read

    try:
        return read(file.read_text(), settings, only=IN_FILE)
    except OSError as error:
        raise Refusal(f"cannot read {file}: {error.strerror}") from error
    except SettingsError as error:
        raise Refusal(f"{file}: {error}") from error


def _providers(issuer_url: str, client_id: str, username_claim: str, groups_claim: str) -> tuple[Provider, ...]:
    if not issuer_url and not client_id:
        return ()
    if not issuer_url.startswith("https://") or not client_id:
        raise Refusal("a provider needs both --oidc-issuer-url (https://...) and --oidc-client-id")
    provider = Provider(
        issuer_url=issuer_url, client_id=client_id, username_claim=username_claim, groups_claim=groups_claim
    )
    return (provider,)


def _disabled(enable: Sequence[str] | None, disable: Sequence[str] | None) -> frozenset[str]:
    """The components that are left out."""
    if not enable and not disable:
        return frozenset()
    from flowdeck.plugins import PluginError, registered, with_needs

    try:
        known = registered()
        wanted = with_needs(enable) if enable else set(known)
    except PluginError as error:
        raise Refusal(str(error)) from error
    for name in [*(enable or ()), *(disable or ())]:
        if name not in known:
            raise Refusal(f"there is no component {name!r}: there are {', '.join(known)}")
    left_out = frozenset((known.keys() - wanted) | set(disable or ()))
    for name in known.keys() - left_out:
        if missing := with_needs([name]) & left_out:
            needed = ", ".join(sorted(missing))
            raise Refusal(f"component {name} needs {needed}: disable {name} as well, or leave {needed} on")
    return left_out


def _start_detached(settings: Settings) -> None:
    """Starts this command again as a process of its own, and waits until that says that it is ready."""
    from flowdeck.foundation import DataFolderInUse, is_in_use

    if is_in_use(settings.data):
        raise Refusal(str(DataFolderInUse(settings.data)))
    log_file = _log_file(settings.data)
    reader, writer = os.pipe()
    arguments = [word for word in sys.argv[1:] if word != "--detach"]
    with log_file.open("ab") as output:
        start = output.tell()
        process = subprocess.Popen(
            [sys.executable, "-m", "flowdeck.cli.main", *arguments, "--ready-fd", str(writer)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=(writer,),
            start_new_session=True,
        )
    os.close(writer)
    try:
        said = _said_within(reader, READY_S)
    except KeyboardInterrupt:  # nobody would know of it
        _end(process)
        raise
    if said is None:
        reason = _what_is_not_ready(settings, start)
        _end(process)
        raise Refusal(f"the platform was not ready after {READY_S:g} s, and was stopped again: {reason}")
    if said != b"ready\n":
        code = process.wait()
        told = _read_from(log_file, start) or f"{log_file} says nothing: {_room(settings.data)}"
        raise Refusal(f"the platform did not start (exit code {code}):\n{told}")
    state = read_state(settings.data)
    typer.echo(f"Flowdeck is ready at {state.server if state else ''}\n\n{exports(settings.data)}")


def _log_file(data: Path) -> Path:
    """Where the platform's own words go; its folder is made."""
    from flowdeck.foundation import ForeignFolder, prepare

    file = data / "logs" / "flowdeck.log"
    try:
        prepare(data)
        file.parent.mkdir(mode=0o700, exist_ok=True)
        file.touch(mode=0o600)
    except ForeignFolder as error:
        raise Refusal(str(error)) from error
    except OSError as error:
        raise cannot_use(data, error) from error
    return file


def _room(data: Path) -> str:
    return f"{shutil.disk_usage(data).free / 2**20:.1f} MiB are free on the disk of {data}"


def _said_within(reader: int, seconds: float) -> bytes | None:
    """What came through the pipe, empty when it was closed; None when nothing came in that time."""
    with os.fdopen(reader, "rb") as pipe:
        return pipe.readline() if select.select([pipe], [], [], seconds)[0] else None


def _what_is_not_ready(settings: Settings, start: int) -> str:
    """In words, with the last lines of the log that tells why."""
    logs = settings.data / "logs"
    if read_state(settings.data) is None:
        return f"the API server is not up:\n{_last_lines(_read_from(logs / 'flowdeck.log', start))}"
    node_log = logs / "node.log"
    told = _last_lines(node_log.read_text(errors="replace") if node_log.exists() else "") or "(its log is empty)"
    return f"the API server is up, its node is not ready. The end of {node_log}:\n{told}"


def _last_lines(text: str) -> str:
    return "\n".join(text.splitlines()[-TOLD_LINES:])


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Stops the platform, and with it its node process; pods of an earlier run go on."""
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _read_from(path: Path, start: int) -> str:
    with path.open("rb") as file:
        file.seek(start)
        return file.read().decode(errors="replace").strip()
