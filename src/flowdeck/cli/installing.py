"""What `manifests`, `install`, `upgrade` and `uninstall` share: options, the cluster, how they tell what they do."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import orjson
import typer

from flowdeck.cli.refusal import Refusal

if TYPE_CHECKING:
    from flowdeck.client.http import HttpClient
    from flowdeck.client.kubeconfig import ClusterConfig
    from flowdeck.cluster.install import Change, Found, Installer
    from flowdeck.cluster.manifests.render import Manifests
    from flowdeck.cluster.settings import ClusterSettings

ImageOption = Annotated[str, typer.Option(help="The operator's image, with a version or a digest.")]
SettingsOption = Annotated[Path | None, typer.Option(help="YAML file with settings (docs/settings.md).")]
DisableOption = Annotated[list[str] | None, typer.Option(help="A component to leave out; may be repeated.")]
ClusterOption = Annotated[
    Path | None, typer.Option("--kubeconfig", help="The cluster (default: KUBECONFIG, else ~/.kube/config).")
]
ContextOption = Annotated[str, typer.Option(help="Context of the kubeconfig (default: its current one).")]
OutputOption = Annotated[str, typer.Option("--output", "-o", help="`json`: what was done, for scripts.")]
TimeoutOption = Annotated[float, typer.Option("--timeout", min=0, help="Seconds to wait; 0: do not wait.")]


def manifests_of(image: str, file: Path | None, disable: Sequence[str] | None) -> "Manifests":
    """The manifests that the options ask for. Raises `Refusal`."""
    return made_manifests(image, settings_of(file, disable))


def made_manifests(image: str, settings: "ClusterSettings") -> "Manifests":
    from flowdeck.cluster.manifests.render import IMAGE, Manifests

    if image and "@sha256:" not in image and image.rpartition("/")[2].partition(":")[2] in ("", "latest"):
        raise Refusal(f"image {image} may change by itself: give a version's tag or a digest")
    return Manifests(image=image or IMAGE, settings=settings)


def settings_of(
    file: Path | None, disable: Sequence[str] | None, held: "ClusterSettings | None" = None
) -> "ClusterSettings":
    """The file's settings, else those that are installed, else the defaults; `disable` adds to them."""
    from flowdeck.cluster.settings import ClusterSettings
    from flowdeck.cluster.settings_text import read_settings
    from flowdeck.plugins import registered
    from flowdeck.settings_tree import SettingsError

    for name in disable or ():
        if name not in registered():
            raise Refusal(f"there is no component {name!r}; there are {', '.join(registered())}")
    try:
        settings = read_settings(file.read_text()) if file else held or ClusterSettings()
    except OSError as error:
        raise Refusal(f"cannot read {file}: {error.strerror}") from error
    except SettingsError as error:
        raise Refusal(f"{file}: {error}") from error
    return replace(settings, disabled=settings.disabled | set(disable or ()))


def real_cluster(kubeconfig: Path | None, context: str) -> "ClusterConfig":
    """The cluster that is meant. Raises `Refusal`."""
    from flowdeck.client.kubeconfig import ConfigError, load_kubeconfig

    named = os.environ.get("KUBECONFIG", "").partition(os.pathsep)[0]  # noqa: TID251 - the command line reads it
    path = kubeconfig or Path(named or Path.home() / ".kube" / "config")
    try:
        return load_kubeconfig(path, context=context)
    except ConfigError as error:
        raise Refusal(f"{error}; say which cluster with --kubeconfig") from error


@dataclass
class Report:
    """What is done: told line by line as it happens, and at the end as JSON where that is asked for."""

    output: str
    changes: list["Change"] = field(default_factory=list)
    waits: Sequence[str] = ()

    def __post_init__(self) -> None:
        if self.output not in ("", "json"):
            raise Refusal(f"unknown output {self.output!r}: use json, or leave it out")

    def note(self, change: "Change") -> None:
        self.changes.append(change)
        if change.what != "unchanged":
            typer.echo(str(change), err=True)

    def end(self, **more: object) -> None:
        counts = {
            what: sum(c.what == what for c in self.changes) for what in dict.fromkeys(c.what for c in self.changes)
        }
        if self.output == "json":
            changes = [
                {"resource": c.kind.resource, "namespace": c.key.namespace, "name": c.key.name, "change": c.what}
                for c in self.changes
            ]
            told = {"changes": changes, "counts": counts, "waitingFor": list(self.waits), **more}
            typer.echo(orjson.dumps(told, option=orjson.OPT_INDENT_2).decode())
        else:
            typer.echo(", ".join(f"{count} {what}" for what, count in counts.items()) or "nothing to do")


async def _wait_ready(installer: "Installer", report: Report, timeout_s: float) -> None:
    """Waits with progress. Raises `Refusal` with what is not ready and why."""
    from flowdeck.cluster.install import LOOK_S

    clock = installer.clock
    began = clock.monotonic()
    told: set[str] = set()
    while waits := await installer.waits():
        if clock.monotonic() - began > timeout_s:
            report.waits = waits
            report.end(ready=False)
            lines = "\n".join(f"  {line}" for line in waits)
            raise Refusal(f"not ready after {timeout_s:g} s:\n{lines}")
        for line in waits:
            if line not in told:
                typer.echo(f"waiting: {line}", err=True)
        told.update(waits)
        await clock.sleep(LOOK_S)


def bringing(objection: Callable[["Found"], str]) -> Callable[..., None]:
    """The command that puts the platform on a cluster, unless there is an objection to what was found there."""

    def bring(
        image: ImageOption = "",
        settings: SettingsOption = None,
        disable: DisableOption = None,
        kubeconfig: ClusterOption = None,
        context: ContextOption = "",
        timeout: TimeoutOption = 300.0,
        output: OutputOption = "",
    ) -> None:
        from flowdeck.cli.cluster import talk
        from flowdeck.cluster.install import fitted

        async def work(client: "HttpClient") -> None:
            found = await _look(client)
            if why_not := objection(found):
                raise Refusal(why_not)
            wanted = fitted(settings_of(settings, disable, found.settings), found)
            await _bring(client, made_manifests(image, wanted), Report(output), timeout)

        talk(real_cluster(kubeconfig, context), work)

    return bring


async def _look(client: "HttpClient") -> "Found":
    """What is on the cluster; refuses one where another controller works on the same objects. Raises `Refusal`."""
    from flowdeck.cluster.install import OLDEST, UPSTREAM, look
    from flowdeck.settings_tree import SettingsError

    try:
        found = await look(client)
    except SettingsError as error:
        raise Refusal(f"the settings in the ConfigMap flowdeck cannot be read: {error}; mend them") from error
    if found.has_upstream_trainer:
        stop = f"kubectl scale -n {UPSTREAM.namespace} deployment/{UPSTREAM.name} --replicas=0"
        raise Refusal(
            "upstream's Trainer runs on this cluster, and would work on the same TrainJobs: "
            f"stop it first ({stop}); its TrainJobs are taken over as they are"
        )
    if found.has_embedded_trainer:
        raise Refusal(
            "this is an embedded platform (flowdeck up), which runs training already: name a cluster with --kubeconfig "
            "or --context, or start it with `flowdeck up --disable training --disable jobset --disable pipelines`"
        )
    if found.kubernetes < OLDEST:
        shown, oldest = (".".join(map(str, version)) for version in (found.kubernetes, OLDEST))
        typer.echo(f"warning: this is Kubernetes {shown}; Flowdeck is made for {oldest} and newer", err=True)
    if found.has_own_job_sets:
        typer.echo("JobSet's own controller is on this cluster and stays in charge of JobSets", err=True)
    return found


async def _bring(client: "HttpClient", manifests: "Manifests", report: Report, timeout_s: float) -> None:
    """Applies, removes what is no longer wanted, waits and tells."""
    from flowdeck.clock import SystemClock
    from flowdeck.cluster.install import Installer

    installer = Installer(client, SystemClock(), manifests)
    async for change in installer.apply():
        report.note(change)
    async for change in installer.prune():
        report.note(change)
    if timeout_s:
        await _wait_ready(installer, report, timeout_s)
    report.end(ready=bool(timeout_s))
