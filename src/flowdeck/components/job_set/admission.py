"""The JobSet webhooks. The rules themselves are in `kube/job_set/admission.py`."""

from flowdeck.client.base import Reader
from flowdeck.clock import Clock
from flowdeck.controller.admission import AdmissionRule, Review
from flowdeck.kube.job_set import admission
from flowdeck.kube.kinds import JOB_SET
from flowdeck.kube.objects import Tree


async def _default(obj: Tree, old: Tree | None, *, reader: Reader, clock: Clock) -> Review:
    admission.default(obj)
    return Review(obj=obj)


async def _validate(obj: Tree, old: Tree | None, *, reader: Reader, clock: Clock) -> Review:
    if old is None:
        told = "\n".join(admission.validate(obj))
    else:
        errors = admission.validate_update(obj, old)
        told = f"[{', '.join(errors)}]" if len(errors) > 1 else "".join(errors)
    return Review(obj=obj, errors=[told] if told else ())


RULES = (
    AdmissionRule(
        name="mjobset.kb.io",
        configuration="jobset-mutating-webhook-configuration",
        path="/mutate-jobset-x-k8s-io-v1alpha2-jobset",
        kind=JOB_SET,
        phase="mutate",
        review=_default,
    ),
    AdmissionRule(
        name="vjobset.kb.io",
        configuration="jobset-validating-webhook-configuration",
        path="/validate-jobset-x-k8s-io-v1alpha2-jobset",
        kind=JOB_SET,
        phase="validate",
        review=_validate,
    ),
)
