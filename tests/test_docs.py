"""The pages tell the truth: each is held against what is there.

Who adds a folder, a setting, a command, a kind, a resource, an admission plug-in or a path adds a line to its page.
"""

import ast
import dataclasses
import re
import typing
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from flowdeck.cli.main import build
from flowdeck.cluster.settings import ClusterSettings
from flowdeck.embedded.workloads.definitions import definitions
from flowdeck.kube import openapi
from flowdeck.kube.kinds import CUSTOM_RESOURCE_DEFINITION
from flowdeck.plugins import components
from flowdeck.settings import Settings
from tests.world.world import World

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
SOURCE = ROOT / "src" / "flowdeck"
PASSED_BY = ("__pycache__", ".mypy_cache", ".git")
TOP = (".ci", "bench", "docs", "examples", "src/flowdeck", "tests", "tools")
"""The folders of the repository whose insides are drawn."""


def page(name: str) -> str:
    return (DOCS / name).read_text()


def marked(text: str, mark: str) -> str:
    """What stands below `<!-- mark -->`, up to the next heading."""
    _, found, rest = text.partition(f"<!-- {mark} -->\n")
    assert found, f"no {mark} in the page"
    return re.split(r"^## ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def rows(table: str) -> list[list[str]]:
    """The cells of a Markdown table, without its head."""
    lines = [line for line in table.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def quoted(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


# ---- the tree ---------------------------------------------------------------------------------------------------


def drawn_folders() -> Iterator[str]:
    above: list[str] = []
    for line in marked(page("architecture.md"), "tree").split("```")[1].splitlines():
        if not line.strip():
            continue
        name, _, description = line.strip().partition("/ ")
        depth = (len(line) - len(line.lstrip())) // 2
        above[depth:] = [name.rstrip("/")]
        assert description.strip(), f"{line.strip()} says nothing"
        yield "/".join(above)


def real_folders() -> Iterator[str]:
    for top in TOP:
        for folder in [ROOT / top, *(ROOT / top).rglob("*/")]:
            path = folder.relative_to(ROOT)
            if folder.is_dir() and not any(part in PASSED_BY for part in path.parts) and has_files(folder):
                yield path.as_posix()


def has_files(folder: Path) -> bool:
    return any(
        path.is_file() and not any(part in PASSED_BY for part in path.relative_to(folder).parts)
        for path in folder.rglob("*")
    )


def test_the_tree_that_is_drawn_is_the_tree_that_is_there() -> None:
    assert sorted(drawn_folders()) == sorted(real_folders())


def test_every_package_says_what_it_is_for() -> None:
    silent = [
        path.relative_to(ROOT).as_posix()
        for path in SOURCE.rglob("__init__.py")
        if not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert silent == []


def test_every_room_has_a_readme_or_stands_in_its_parents() -> None:
    without = []
    for top in ("components", "embedded"):
        for folder in (SOURCE / top).rglob("*/"):
            if folder.name in PASSED_BY or not list(folder.glob("*.py")):
                continue
            above = [parent / "README.md" for parent in folder.parents if SOURCE / top in (parent, *parent.parents)]
            told = any(readme.exists() and f"{folder.name}/" in readme.read_text() for readme in above)
            if not (folder / "README.md").exists() and not told:
                without.append(folder.relative_to(SOURCE).as_posix())
    assert without == []


TABLED = [
    readme for readme in sorted(SOURCE.rglob("README.md")) if re.search(r"(?m)^\| (module|file) \|", readme.read_text())
]


@pytest.mark.parametrize("readme", TABLED, ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_a_table_of_modules_has_each_of_the_folders_modules(readme: Path) -> None:
    told = set(re.findall(r"`(\w+\.py)`", "".join(re.findall(r"(?m)^\|[^|]*", readme.read_text()))))
    there = {path.name for path in readme.parent.glob("*.py")} - {"__init__.py", "__main__.py"}
    assert (sorted(there - told), sorted(told - there)) == ([], [])


# ---- hops, links, files -----------------------------------------------------------------------------------------


def test_the_way_to_a_default_takes_at_most_three_hops_and_leads_there() -> None:
    table = rows(marked(page("architecture.md"), "hops"))
    assert len(table) >= 5
    for what, way in table:
        hops = way.split("→")
        assert len(hops) <= 3, what
        for hop in hops:
            file, symbol = quoted(hop)
            assert symbol in (ROOT / file).read_text(), f"{what}: {symbol} is not in {file}"


PAGES = sorted([*DOCS.rglob("*.md"), *SOURCE.rglob("README.md"), *ROOT.glob("*.md"), ROOT / "examples" / "README.md"])


OURS = re.compile(r"(src|tests|docs|examples|tools|bench|embedded|components|node|apiserver)/[\w/.-]+")
"""What looks like a file of the repository."""


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_files_that_a_page_names_are_there(path: Path) -> None:
    places = (ROOT, SOURCE, SOURCE / "embedded", path.parent)
    missing = [
        word
        for word in quoted(path.read_text())
        if OURS.fullmatch(word) and not any((place / word).exists() for place in places)
    ]
    assert missing == []


def test_every_decision_is_numbered_and_has_a_title() -> None:
    found = sorted((DOCS / "decisions").glob("*.md"))
    assert [int(path.name[:4]) for path in found] == list(range(len(found)))
    assert all(path.read_text().startswith("# ") for path in found)


# ---- settings and commands --------------------------------------------------------------------------------------


def setting_fields(branch: type) -> Iterator[tuple[str, str]]:
    """`(branch, field)` of the whole tree, inside lists as well."""
    hints = typing.get_type_hints(branch)
    for field in dataclasses.fields(branch):
        yield branch.__name__, field.name
        for inner in (hints[field.name], *typing.get_args(hints[field.name])):
            if isinstance(inner, type) and dataclasses.is_dataclass(inner):
                yield from setting_fields(inner)


def test_every_setting_is_explained_with_unit_and_default() -> None:
    table = {quoted(row[0])[0]: row for row in rows_of(page("settings.md")) if quoted(row[0])}
    missing = [
        f"{branch}.{name}"
        for tree in (Settings, ClusterSettings)
        for branch, name in setting_fields(tree)
        if name not in table
    ]
    assert missing == []
    assert [name for name, cells in table.items() if not cells[-1]] == []


def rows_of(text: str) -> list[list[str]]:
    """The rows of all tables of a page."""
    blocks = re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE)
    return [row for block in blocks for row in rows(block)]


def all_commands(command: Any, words: Sequence[str] = ("flowdeck",)) -> Iterator[tuple[str, Any]]:
    if not hasattr(command, "commands"):
        yield " ".join(words), command
        return
    for name, inner in command.commands.items():
        yield from all_commands(inner, (*words, name))


def test_every_command_and_each_of_its_options_is_explained() -> None:
    sections = dict(
        re.findall(r"^## (flowdeck [\w ]+)\n(.*?)(?=^## |\Z)", page("commands.md"), re.MULTILINE | re.DOTALL)
    )
    commands = dict(all_commands(get_command(build())))
    assert sorted(sections) == sorted(commands)
    missing = [
        f"{name} {option}"
        for name, command in commands.items()
        for parameter in command.params
        if parameter.param_type_name == "option" and not getattr(parameter, "hidden", False)
        for option in parameter.opts
        if f"`{option}`" not in sections[name]
    ]
    assert missing == []


def test_the_readme_names_every_command() -> None:
    table = (ROOT / "README.md").read_text()
    words = {name.split()[1] for name, _ in all_commands(get_command(build()))}
    assert [word for word in words if not re.search(rf"`(flowdeck )?{word}\b", table)] == []


# ---- kinds and the API ------------------------------------------------------------------------------------------


def test_every_kind_that_we_bring_has_its_page() -> None:
    parts = components()
    for part in parts:
        text = page(f"{part.name}.md")
        kinds = [definition["spec"]["names"]["kind"] for definition in part.custom_resource_definitions()]
        assert [kind for kind in kinds if f"`{kind}`" not in text] == [], part.name
    pages = " ".join(page(f"{part.name}.md") for part in parts)
    brought = [definition["spec"]["names"]["kind"] for definition in definitions()]
    assert [kind for kind in brought if f"`{kind}`" not in pages] == []


async def served(world: World) -> dict[tuple[str, str], tuple[str, set[str]]]:
    """`(group version, plural)` -> verbs as the page writes them, subresources; of a platform with all components."""
    brought = [crd for part in components() for crd in part.custom_resource_definitions()]
    for crd in [*definitions(), *brought]:
        await world.client.apply(CUSTOM_RESOURCE_DEFINITION, crd, manager="test")
    return {
        (resource.kind.api_version, resource.kind.plural): (_verbs(resource.verbs), set(resource.subresources))
        for resource in world.api.registry
    }


def _verbs(verbs: Sequence[str]) -> str:
    every = {"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"}
    missing = every - set(verbs)
    if not missing:
        return "all"
    return "all but deletecollection" if missing == {"deletecollection"} else " ".join(sorted(verbs))


def upstream() -> set[tuple[str, str]]:
    """`(group version, plural)` of everything that a real server names."""
    return {
        ("/".join(filter(None, (group["metadata"].get("name"), version["version"]))), entry["resource"])
        for document in openapi.discovery().values()
        for group in document["items"]
        for version in group["versions"]
        for entry in version["resources"]
    }


async def test_the_compatibility_page_lists_what_is_served_and_what_is_not(world: World) -> None:
    table = rows(marked(page("kubernetes-compatibility.md"), "resources"))
    listed = {(quoted(row[0])[0], quoted(row[1])[0]): row for row in table}
    ours = await served(world)
    assert sorted(listed) == sorted({*ours, *upstream()})
    for key, (_, _, subresources, verbs, is_) in listed.items():
        if key in ours:
            assert (verbs, set(quoted(subresources))) == ours[key], key
        assert is_.startswith("not served") == (key not in ours), key


async def test_the_compatibility_page_lists_the_admission_plugins_in_their_order(world: World) -> None:
    table = rows(marked(page("kubernetes-compatibility.md"), "plugins"))
    assert [quoted(row[0])[0] for row in table] == [plugin.name for plugin in world.api.pipeline.handlers.verbs.plugins]


async def test_the_compatibility_page_lists_the_paths_that_are_served(world: World) -> None:
    table = rows(marked(page("kubernetes-compatibility.md"), "paths"))
    is_served = {path: "not served" not in row[1].split(":")[0] for row in table for path in quoted(row[0])}
    routes = set(world.api.pipeline.routes)
    assert [path for path in routes if not is_served.get(path)] == []
    documents = ("/api", "/openapi", "/version")
    assert [
        path for path, yes in is_served.items() if yes and path not in routes and not path.startswith(documents)
    ] == []


async def test_the_compatibility_page_speaks_of_every_subresource(world: World) -> None:
    text = page("kubernetes-compatibility.md").partition("## Subresources")[2].partition("\n## ")[0]
    named = {name for resource in world.api.registry for name in resource.subresources}
    assert [name for name in sorted(named) if not re.search(rf"[`/]{name}`", text)] == []
