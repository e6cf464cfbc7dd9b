"""`flowdeck version`."""

from typing import Annotated

import orjson
import typer

from flowdeck.cli.refusal import Refusal
from flowdeck.version import VERSION


def add_to(app: typer.Typer) -> None:
    app.command(epilog="Example: flowdeck version -o json")(version)


def version(
    output: Annotated[str, typer.Option("--output", "-o", help="`json`, or plain text.")] = "",
) -> None:
    """Show which Flowdeck this is, and which Kubernetes and Trainer it speaks like."""
    if output not in ("", "json"):
        raise Refusal(f"unknown output {output!r}: use json, or leave it out")
    facts = {"flowdeck": VERSION, "kubernetes": "v1.36.2", "trainer": "v2.3.0", "jobset": "v0.12.0"}
    if output == "json":
        typer.echo(orjson.dumps(facts).decode())
    else:
        typer.echo("\n".join(f"{name:<11}{value}" for name, value in facts.items()))
