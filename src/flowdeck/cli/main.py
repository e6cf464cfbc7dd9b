"""`flowdeck`: the commands, and how their errors are told."""

import importlib
import sys

import typer

from flowdeck.cli.refusal import Refusal

COMMANDS = (
    *("up", "down", "status", "demo", "apply", "get", "delete", "logs", "wait", "image", "node"),
    *("install", "upgrade", "uninstall", "manifests", "operator", "version"),
)


def build(wanted: str = "") -> typer.Typer:
    """The command line; with one command's name only that one is loaded, so that it starts quickly."""
    app = typer.Typer(
        name="flowdeck",
        help="The Kubeflow platform in Python: a Kubernetes API and its pods, on this machine, in a second or two.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
        context_settings={"help_option_names": ["--help", "-h"]},
    )
    app.callback()(_keep_command_names)
    for name in [wanted] if wanted in COMMANDS else COMMANDS:
        importlib.import_module(f"flowdeck.cli.{name}").add_to(app)
    return app


def _keep_command_names() -> None:
    """Without a callback, a program with one command would take no command's name."""


def main() -> None:
    """Entry point of the `flowdeck` program. Exit code 1 for a refusal, 2 for a wrong call, 130 when interrupted."""
    try:
        build(sys.argv[1] if len(sys.argv) > 1 else "")()
    except Refusal as error:
        typer.echo(f"flowdeck: {error}", err=True)
        sys.exit(1)
    except PermissionError as error:  # of a data folder or a kubeconfig that is another user's
        typer.echo(f"flowdeck: not allowed to use {error.filename}: {error.strerror}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
