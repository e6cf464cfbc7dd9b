"""The custom resource definitions, compared with upstream's."""

import pytest

from flowdeck.components.pipelines.kinds import definitions
from flowdeck.kube.objects import Tree
from tests.conformance.crds import differences, upstream_crd


@pytest.mark.parametrize("ours", definitions(), ids=lambda crd: crd["metadata"]["name"])
def test_our_definitions_say_what_upstreams_say(ours: Tree) -> None:
    assert differences(ours, upstream_crd(ours["metadata"]["name"])) == []
