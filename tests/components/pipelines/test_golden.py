"""All pipelines of upstream's tests are read, given back as they came, and compiled; the broken ones are refused."""

from pathlib import Path

import pytest

from flowdeck.components.pipelines.errors import InvalidPipeline
from flowdeck.components.pipelines.ir.document import Document, from_wire, parse
from flowdeck.components.pipelines.ir.package import text_of
from flowdeck.components.pipelines.plan.compiler import compile_plan
from flowdeck.kube.yaml_text import load_all
from tests.components.pipelines.golden import INVALID, VALID, WHY

pytestmark = pytest.mark.skipif(not VALID, reason=WHY)


def read(path: Path) -> Document:
    return parse(text_of(path.read_bytes(), path.name))


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.name)
def test_a_pipeline_comes_back_as_it_was_and_has_a_plan(path: Path) -> None:
    document = read(path)
    uploaded = [part for part in load_all(path.read_text()) if part]
    assert [document.spec_tree, *([document.platform_tree] if document.platform_tree else [])] == uploaded
    assert from_wire(document.wire) == document
    plan = compile_plan(document)
    assert plan.dag.tasks.keys() == document.spec_tree["root"]["dag"]["tasks"].keys()


@pytest.mark.parametrize("path", INVALID, ids=lambda path: path.name)
def test_a_broken_file_is_refused_in_words(path: Path) -> None:
    with pytest.raises(InvalidPipeline, match="Invalid input error"):
        compile_plan(read(path))
