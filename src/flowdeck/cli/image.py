"""`flowdeck image list | add | remove | prune`: what image references mean on this machine."""

import asyncio
import os
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from flowdeck.cli.refusal import Refusal
from flowdeck.cli.target import DataOption, data_folder

app = typer.Typer(
    help="What image references mean here: there is no container engine, an image is an environment.",
    no_args_is_help=True,
)


def add_to(parent: typer.Typer) -> None:
    parent.add_typer(app, name="image")


@app.command("list", epilog="Example: flowdeck image list -o json")
def list_images(
    data: DataOption = None,
    output: Annotated[str, typer.Option("--output", "-o", help="`json`, or plain text.")] = "",
) -> None:
    """List the table of images: yours first, then those that come with Flowdeck."""
    if output not in ("", "json"):
        raise Refusal(f"unknown output {output!r}: use json, or leave it out")
    from flowdeck.embedded.node.images.table import Row, shipped_rows, user_rows

    def told(row: Row, origin: str) -> dict[str, Any]:
        what = " ".join(row.packages) or row.archive or row.source.value
        return {"references": list(row.references), "source": row.source.value, "is": what, "origin": origin}

    rows = [told(row, "user") for row in user_rows(data_folder(data) / "images.toml")]
    rows += [told(row, "shipped") for row in shipped_rows()]
    if output == "json":
        typer.echo(orjson.dumps(rows, option=orjson.OPT_INDENT_2).decode())
        return
    typer.echo("ORIGIN    IMAGE                                           IS")
    for row in rows:
        is_what = f"{row['source']}: {row['is']}" if row["is"] != row["source"] else row["source"]
        first, *others = row["references"]
        typer.echo(f"{row['origin']:<8}  {first:<46}  {is_what}")
        for other in others:
            typer.echo(f"{'':<8}  {other}")


@app.command(epilog="Example: flowdeck image add ghcr.io/me/train:v1 --package torch --package pandas==2.2")
def add(
    reference: Annotated[str, typer.Argument(help="The image's reference, or a pattern: `ghcr.io/me/*`.")],
    package: Annotated[list[str] | None, typer.Option(help="A package as pip takes it; may be repeated.")] = None,
    machine: Annotated[bool, typer.Option("--machine", help="The machine's own programs.")] = False,
    archive: Annotated[str, typer.Option(help="An OCI or docker-save archive (namespaces driver only).")] = "",
    python: Annotated[str, typer.Option(help="Python version of the environment: `3.12`.")] = "",
    data: DataOption = None,
) -> None:
    """Say what an image reference means: packages, the machine's own programs, or an archive."""
    from flowdeck.embedded.node.contract import ImageError
    from flowdeck.embedded.node.images.table import Row, Source, add_row

    if sum(map(bool, (package, machine, archive))) != 1:
        raise Refusal("say what the image is: --package NAME (may be repeated), --machine, or --archive FILE")
    source = Source.ENVIRONMENT if package else Source.MACHINE if machine else Source.ARCHIVE
    file = str(Path(archive).expanduser().absolute()) if archive else ""  # the node works in another folder
    if file and not Path(file).is_file():
        raise Refusal(f"there is no archive {file}: make it with `docker save {reference} -o {archive}`")
    row = Row(references=(reference,), source=source, packages=tuple(package or ()), archive=file, python=python)
    try:
        add_row(data_folder(data) / "images.toml", row)
    except (ImageError, ValueError) as error:
        raise Refusal(str(error)) from error
    typer.echo(f"{reference} is known now; it is made ready when a pod first uses it")


@app.command(epilog="Example: flowdeck image remove ghcr.io/me/train:v1")
def remove(
    reference: Annotated[str, typer.Argument(help="The reference as it was added.")],
    data: DataOption = None,
) -> None:
    """Forget what you said of an image reference."""
    from flowdeck.embedded.node.images.table import remove_row

    if not remove_row(data_folder(data) / "images.toml", reference):
        raise Refusal(f"{reference} is not in your table of images (shipped images stay): see `flowdeck image list`")
    typer.echo(f"{reference} removed")


@app.command(epilog="Example: flowdeck image prune")
def prune(data: DataOption = None) -> None:
    """Delete the environments that no container uses, and downloaded packages; they are made again when needed.

    Environments are shared by all your platforms; one that was asked for in the last ten minutes stays.
    """
    from flowdeck.clock import SystemClock
    from flowdeck.embedded.node.images.environments import Environments
    from flowdeck.embedded.node.images.settings import ImageSettings, shared_folder

    env, place = dict(os.environ), data_folder(data)  # noqa: TID251 - the command line reads the environment
    folder = shared_folder(env, is_root=os.geteuid() == 0)
    settings = ImageSettings(
        folder=folder, archives=place / "node" / "archives", table=place / "images.toml", machine_env=env
    )
    removed = asyncio.run(Environments(settings, SystemClock()).remove_unused())
    for environment in removed:
        what = ", ".join((f"Python {environment.recipe.python}", *environment.recipe.packages))
        typer.echo(f"removed {what} ({environment.size_bytes / 2**20:.0f} MiB)")
    typer.echo(f"{len(removed)} environments removed from {folder}")
