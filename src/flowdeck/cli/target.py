"""Which platform a command is for: options, environment, and what points a shell at it. Quick to import."""

import os
from pathlib import Path
from typing import Annotated

import typer

from flowdeck.cli.refusal import Refusal


def exports(data: Path) -> str:
    """The lines that point a shell at the platform in a data folder: other tools, and these commands."""
    lines = [f"  export KUBECONFIG={data / 'kubeconfig'}"]
    if data != data_folder(None):
        lines.append(f"  export FLOWDECK_DATA={data}")
    return "\n".join(lines)


def default_data() -> Path:
    """The user's data folder: `FLOWDECK_DATA`, else `flowdeck` in the place for applications' data."""
    chosen = os.environ.get("FLOWDECK_DATA")  # noqa: TID251 - the command line reads the environment
    if chosen:
        return Path(chosen)
    base = os.environ.get("XDG_DATA_HOME")  # noqa: TID251
    return (Path(base) if base else Path.home() / ".local" / "share") / "flowdeck"


DataOption = Annotated[
    Path | None,
    typer.Option("--data", help="Data folder of the platform (default: FLOWDECK_DATA, else the user's data folder)."),
]
KubeconfigOption = Annotated[
    Path | None,
    typer.Option("--kubeconfig", help="A kubeconfig file, instead of the platform in the data folder."),
]
NamespaceOption = Annotated[
    str, typer.Option("--namespace", "-n", help="Namespace (default: the kubeconfig's, else `default`).")
]


def data_folder(data: Path | None) -> Path:
    return (data or default_data()).expanduser().absolute()


def cannot_use(data: Path, error: OSError) -> Refusal:
    """What to say when a data folder cannot be read or written."""
    return Refusal(
        f"cannot use the data folder {data}: {error}: see to its disk and rights, or name another with --data"
    )
