"""JobSet's definition says what upstream's says, property by property."""

from tests.conformance.crds import differences, upstream_crd

from flowdeck.kube.job_set.types import job_set_definition


def test_the_definition_is_upstreams():
    assert differences(job_set_definition(), upstream_crd("jobsets.jobset.x-k8s.io")) == []
