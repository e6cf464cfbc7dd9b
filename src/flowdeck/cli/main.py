"""`flowdeck`: the commands, and how their errors are told."""

import sys

import typer

from flowdeck.cli import apply, delete, demo, down, get, image, logs, node, status, up, version, wait
from flowdeck.cli.common import Refusal

app = typer.Typer(
    name="flowdeck",
    help="The Kubeflow platform, whole, in Python: on this machine in a second, or on any Kubernetes cluster.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
for _command in (up, down, status, demo, apply, get, delete, logs, wait, node, version):
    _command.add_to(app)
app.add_typer(image.app, name="image")


def main() -> None:
    """Entry point of the `flowdeck` program. Exit code 1 for a refusal, 2 for a wrong call, 130 when interrupted."""
    try:
        app()
    except Refusal as error:
        typer.echo(f"flowdeck: {error}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
