"""`flowdeck get`: objects as tables, JSON or YAML."""

from typing import Annotated

import orjson
import typer
import yaml

from flowdeck.cli.cluster import cluster_of, talk
from flowdeck.cli.refusal import Refusal
from flowdeck.cli.resources import discover, kind_named, word_and_name
from flowdeck.cli.target import DataOption, KubeconfigOption, NamespaceOption
from flowdeck.client.http import HttpClient
from flowdeck.kube.objects import Kind, ObjectKey, Tree

_TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


def add_to(app: typer.Typer) -> None:
    app.command(epilog="Example: flowdeck get trainjobs -n team -o wide")(get)


def get(
    kind: Annotated[str, typer.Argument(help="A kind (`pods`), or KIND/NAME; without it: the list of kinds.")] = "",
    name: Annotated[str, typer.Argument(help="An object's name; without it: all of them.")] = "",
    namespace: NamespaceOption = "",
    all_namespaces: Annotated[bool, typer.Option("--all-namespaces", "-A", help="In all namespaces.")] = False,
    selector: Annotated[str, typer.Option("--selector", "-l", help="Label selector: `a=b,c in (d, e)`.")] = "",
    output: Annotated[str, typer.Option("--output", "-o", help="`wide`, `json`, `yaml` or `name`.")] = "",
    data: DataOption = None,
    kubeconfig: KubeconfigOption = None,
) -> None:
    """Show objects."""
    if output not in ("", "wide", "json", "yaml", "name"):
        raise Refusal(f"unknown output {output!r}: use wide, json, yaml or name")
    config = cluster_of(kubeconfig, data)

    async def work(client: HttpClient) -> None:
        if not kind:
            for one in await discover(client):
                typer.echo(one.kind.resource)
            return
        word, named = word_and_name(kind, name)
        found = await kind_named(client, word)
        space = "" if all_namespaces else namespace or config.namespace
        await _show(client, found, space, named, selector, output)

    talk(config, work)


async def _show(client: HttpClient, kind: Kind, namespace: str, name: str, selector: str, output: str) -> None:
    url = kind.url(ObjectKey(namespace, name)) if name else kind.url(namespace=namespace)
    query = {"labelSelector": selector} if selector else None
    accept = "application/json" if output in ("json", "yaml", "name") else _TABLE
    answer = orjson.loads(await client.request("GET", url, query=query, accept=accept))
    match output:
        case "json":
            typer.echo(orjson.dumps(answer, option=orjson.OPT_INDENT_2).decode())
        case "yaml":
            typer.echo(yaml.safe_dump(answer, sort_keys=False), nl=False)
        case "name":
            for item in answer.get("items", [answer]):
                typer.echo(f"{kind.resource}/{item['metadata']['name']}")
        case _:
            _print_table(answer, wide=output == "wide", show_namespace=kind.namespaced and not namespace)


def _print_table(table: Tree, *, wide: bool, show_namespace: bool) -> None:
    shown = [i for i, column in enumerate(table["columnDefinitions"]) if wide or not column.get("priority")]
    head = [table["columnDefinitions"][i]["name"].upper() for i in shown]
    rows = [[_cell(row["cells"][i]) for i in shown] for row in table["rows"]]
    if show_namespace:
        head.insert(0, "NAMESPACE")
        for cells, row in zip(rows, table["rows"], strict=True):
            cells.insert(0, row["object"]["metadata"].get("namespace", ""))
    if not rows:
        typer.echo("No resources found.", err=True)
        return
    widths = [max(len(cells[i]) for cells in [head, *rows]) for i in range(len(head))]
    for cells in [head, *rows]:
        typer.echo("   ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip())


def _cell(value: object) -> str:
    return "<none>" if value is None or value == "" else str(value)
