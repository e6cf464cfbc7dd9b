"""Finds kinds by what people type (`pods`, `po`, `deploy/x`, `trainjob`), as discovery lists them."""

from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from flowdeck.cli.refusal import Refusal
from flowdeck.client.http import HttpClient
from flowdeck.kube.objects import Kind, Tree

_ACCEPT = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


@dataclass(frozen=True)
class Discovered:
    """A served kind and the words for it."""

    kind: Kind
    words: frozenset[str]


async def discover(client: HttpClient) -> Sequence[Discovered]:
    """All kinds that the server serves, those of the core group first, preferred versions first."""
    found = []
    for path in ("/api", "/apis"):
        document = orjson.loads(await client.request("GET", path, accept=_ACCEPT))
        for group in document["items"]:
            name = group["metadata"].get("name", "")
            for version in group["versions"]:
                found += [_discovered(name, version["version"], entry) for entry in version["resources"]]
    return found


def _discovered(group: str, version: str, entry: Tree) -> Discovered:
    kind = Kind(group, version, entry["responseKind"]["kind"], entry["resource"], entry["scope"] == "Namespaced")
    words = {kind.plural, kind.kind.lower(), entry["singularResource"], *(entry.get("shortNames") or ())}
    return Discovered(kind, frozenset(words | {f"{word}.{group}" for word in words if group}))


async def kind_named(client: HttpClient, word: str) -> Kind:
    """The kind that a word means. Raises `Refusal`."""
    for one in await discover(client):
        if word.lower() in one.words:
            return one.kind
    raise Refusal(f'the server doesn\'t have a resource type "{word}"; `flowdeck get` without words lists them')


def word_and_name(kind: str, name: str) -> tuple[str, str]:
    """`kind` and `name` as two words, or as one: `trainjob/digits`, as commands print it. Raises `Refusal`."""
    word, slash, behind = kind.partition("/")
    if slash and (name or not behind):
        raise Refusal(f"say KIND NAME or KIND/NAME, not {f'{kind} {name}'.strip()!r}")
    return word, behind or name


async def kinds_of(client: HttpClient, objects: Sequence[Tree]) -> Sequence[Kind]:
    """The kind of each object, by apiVersion and kind. Raises `Refusal`."""
    known = {(one.kind.api_version, one.kind.kind): one.kind for one in await discover(client)}
    missing = [obj for obj in objects if (obj["apiVersion"], obj["kind"]) not in known]
    if missing:
        raise Refusal(f'no matches for kind "{missing[0]["kind"]}" in version "{missing[0]["apiVersion"]}"')
    return [known[obj["apiVersion"], obj["kind"]] for obj in objects]
