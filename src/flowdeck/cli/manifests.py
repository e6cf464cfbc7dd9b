"""`flowdeck manifests`: the objects of an installation, as YAML."""

from typing import Annotated

import typer

from flowdeck.cli.installing import DisableOption, ImageOption, SettingsOption, manifests_of


def add_to(app: typer.Typer) -> None:
    app.command(epilog="Example: flowdeck manifests --disable jobset > flowdeck.yaml")(manifests)


def manifests(
    image: ImageOption = "",
    settings: SettingsOption = None,
    disable: DisableOption = None,
    output: Annotated[str, typer.Option("--output", "-o", help="`yaml` or `json` (a List).")] = "yaml",
) -> None:
    """Print what `flowdeck install` would apply; the same for the same options.

    Definitions come first: `kubectl apply --server-side -f flowdeck.yaml` must be run twice on a fresh cluster.
    """
    import orjson

    from flowdeck.cli.refusal import Refusal
    from flowdeck.cluster.manifests.render import to_yaml

    if output not in ("yaml", "json"):
        raise Refusal(f"unknown output {output!r}: use yaml or json")
    objects = manifests_of(image, settings, disable).all()
    if output == "yaml":
        typer.echo(to_yaml(objects), nl=False)
    else:
        made = {"apiVersion": "v1", "kind": "List", "items": objects}
        typer.echo(orjson.dumps(made, option=orjson.OPT_INDENT_2).decode())
