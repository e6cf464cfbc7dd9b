"""Packs the protobuf field numbers of Kubernetes' types into the file that `flowdeck.kube.protobuf` reads.

    go mod download -json k8s.io/api@v0.36.2 k8s.io/apimachinery@v0.36.2     # says the folders
    python tools/pack_protobuf.py API_FOLDER APIMACHINERY_FOLDER src/flowdeck/kube/protobuf-1.36.json.z

Reads the struct tags of `types.go` (name, number, how a value that nobody set is written); no prose and no code.
"""

import re
import sys
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

_GROUPS = (
    "admissionregistration/v1", "apps/v1", "authentication/v1", "authorization/v1", "autoscaling/v1",
    "autoscaling/v2",
    "batch/v1", "certificates/v1", "coordination/v1", "core/v1", "discovery/v1", "events/v1", "networking/v1",
    "node/v1",
    "policy/v1", "rbac/v1", "scheduling/v1", "storage/v1",
)  # fmt: skip
_IMPORT = re.compile(r'^\s*(\w+)?\s*"(k8s\.io/[^"]+)"', re.MULTILINE)
_TYPE = re.compile(r"^type (\w+) (.+?)\s*(\{)?$")
_FIELD = re.compile(r"^\s*(?:(\w+)\s+)?(\S+)\s+`(.*)`")
_NUMBER = re.compile(r'protobuf:"\w+,(\d+),')
_JSON = re.compile(r'json:"([^",]*)((?:,\w+)*)"')
_BASIC = {"string": "s", "bool": "b", "float64": "d", "byte": "y"} | dict.fromkeys(("int", "int32", "int64"), "i")
_SPECIAL = {
    "meta/v1.Time": "@time", "meta/v1.MicroTime": "@micro", "meta/v1.Duration": "@duration",
    "meta/v1.FieldsV1": "@json",
    "api/resource.Quantity": "@quantity", "util/intstr.IntOrString": "@intstr", "pkg/runtime.RawExtension": "@json",
    "pkg/types.UID": "s", "pkg/types.NamespacedName": "s",
}  # fmt: skip


class Sources:
    """The declared types of all packages: `core/v1.Pod` -> what it is and its fields."""

    def __init__(self) -> None:
        self.structs: dict[str, list[tuple[str, str, str]]] = {}
        self.names: dict[str, tuple[str, Mapping[str, str]]] = {}
        self.imports: dict[str, Mapping[str, str]] = {}

    def read(self, package: str, file: Path) -> None:
        text = file.read_text()
        imports = {alias or path.rsplit("/", 1)[-1]: _short(path) for alias, path in _IMPORT.findall(text)}
        current = ""
        for line in text.splitlines():
            if match := _TYPE.match(line):
                current = f"{package}.{match[1]}"
                self.imports[current] = imports
                if match[2] == "struct":
                    self.structs[current] = []
                else:
                    self.names[current] = (match[2], imports)
                    current = ""
            elif current and (match := _FIELD.match(line)):
                self.structs[current].append((match[1] or "", match[2], match[3]))
            elif line == "}":
                current = ""


def _short(path: str) -> str:
    return "/".join(path.split("/")[-2:])


def kind_of(sources: Sources, package: str, imports: Mapping[str, str], go_type: str) -> tuple[str, str]:
    """`(shape, what)` of a Go type: shape is `one`, `many` or `map`."""
    go_type = go_type.lstrip("*")
    if go_type == "[]byte":
        return "one", "y"
    if go_type.startswith("[]"):
        return "many", kind_of(sources, package, imports, go_type[2:])[1]
    if go_type.startswith("map["):
        inner = go_type[go_type.index("]") + 1 :]
        shape, what = kind_of(sources, package, imports, inner)
        return "map", "@strings" if shape == "many" else what
    if go_type in _BASIC:
        return "one", _BASIC[go_type]
    alias, dot, name = go_type.rpartition(".")
    key = f"{imports[alias]}.{name}" if dot else f"{package}.{name}"
    if key in _SPECIAL:
        return "one", _SPECIAL[key]
    if key in sources.names:
        declared, their_imports = sources.names[key]
        return kind_of(sources, key.rpartition(".")[0], their_imports, declared)
    return "one", key


def fields_of(sources: Sources, key: str) -> Iterator[list[Any]]:
    """`[number, JSON name ("" when inline), shape, what, how a zero value is written]`.

    That is `out` (left out), `zero` (as it is), `null` (a pointer that is always written) or `pointer` (left out when
    it is null, and a zero that was sent stays).
    """
    package = key.rpartition(".")[0]
    for _, go_type, tags in sources.structs[key]:
        number, name = _NUMBER.search(tags), _JSON.search(tags)
        if number is None or name is None:
            continue
        shape, what = kind_of(sources, package, sources.imports[key], go_type)
        yield [int(number[1]), name[1], shape, what, _zero(go_type, name[2])]


def _zero(go_type: str, options: str) -> str:
    is_pointer, may_be_left_out = go_type.startswith("*"), "omitempty" in options
    if "omitzero" in options:
        return "pointer"
    if is_pointer:
        return "pointer" if may_be_left_out else "null"
    return "out" if may_be_left_out else "zero"


def main() -> None:
    api, machinery, target = (Path(argument) for argument in sys.argv[1:4])
    sources = Sources()
    for group in _GROUPS:
        for file in sorted((api / group).glob("*types.go")):
            sources.read(group, file)
    sources.read("meta/v1", machinery / "pkg/apis/meta/v1/types.go")
    messages = {key: list(fields_of(sources, key)) for key in sources.structs}
    target.write_bytes(zlib.compress(orjson.dumps(messages, option=orjson.OPT_SORT_KEYS), 9))
    print(f"{target}: {target.stat().st_size} bytes, {len(messages)} messages")


if __name__ == "__main__":
    main()
