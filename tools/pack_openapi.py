"""Packs what a Kubernetes API server says of itself into the file that `flowdeck.kube.openapi` reads.

    python tools/pack_openapi.py openapi-v3-schemas.json discovery-v2.json src/flowdeck/kube/kubernetes-1.36.json.z

The first file holds the component schemas of all OpenAPI v3 documents, merged, by name; the second the aggregated
discovery documents, by path. Prose (`description`) is dropped.
"""

import sys
import zlib
from pathlib import Path
from typing import Any

import orjson


def without_prose(tree: Any, *, is_properties: bool = False) -> Any:
    """The tree without descriptions; a property that is called `description` stays."""
    if isinstance(tree, list):
        return [without_prose(item) for item in tree]
    if not isinstance(tree, dict):
        return tree
    return {
        key: without_prose(value, is_properties=key == "properties" and not is_properties)
        for key, value in tree.items()
        if is_properties or key != "description" or not isinstance(value, str)
    }


def main() -> None:
    schemas, discovery, target = (Path(argument) for argument in sys.argv[1:4])
    facts = {
        "schemas": {name: without_prose(tree) for name, tree in orjson.loads(schemas.read_bytes()).items()},
        "discovery": orjson.loads(discovery.read_bytes()),
    }
    target.write_bytes(zlib.compress(orjson.dumps(facts, option=orjson.OPT_SORT_KEYS), 9))
    print(f"{target}: {target.stat().st_size} bytes, {len(facts['schemas'])} schemas")


if __name__ == "__main__":
    main()
