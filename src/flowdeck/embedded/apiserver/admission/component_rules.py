"""The admission rules of components, run in the process: to the client just like the webhooks they are on a cluster.

Source of the texts: k8s.io/apiserver (pkg/admission/plugin/webhook/errors/statuserror.go).
"""

from collections.abc import Iterable, Sequence

from flowdeck.client.base import Reader
from flowdeck.clock import Clock
from flowdeck.controller.admission import AdmissionRule
from flowdeck.embedded.apiserver.admission.plugin import Plugin
from flowdeck.embedded.apiserver.contract import AdmissionRequest
from flowdeck.kube.errors import Forbidden
from flowdeck.kube.objects import Tree, copy_of, labels_of

_Place = tuple[str, str]
"""Group and plural: a rule counts for every version of its kind."""


class ComponentRules(Plugin):
    """Runs the rules in the order given, mutating ones first."""

    name = "ComponentRules"

    def __init__(self, rules: Sequence[AdmissionRule], reader: Reader, clock: Clock) -> None:
        self._reader = reader
        self._clock = clock
        self._mutating = _by_place(rule for rule in rules if rule.phase == "mutate")
        self._validating = _by_place(rule for rule in rules if rule.phase == "validate")

    async def mutate(self, request: AdmissionRequest) -> None:
        for rule in self._rules(self._mutating, request):
            request.obj = await self._review(rule, request)

    async def validate(self, request: AdmissionRequest) -> None:
        for rule in self._rules(self._validating, request):
            await self._review(rule, request)

    def _rules(self, found: dict[_Place, list[AdmissionRule]], request: AdmissionRequest) -> Iterable[AdmissionRule]:
        if request.subresource:
            return ()
        kind = request.resource.kind
        rules = found.get((kind.group, kind.plural))
        return [rule for rule in rules or () if request.operation in rule.operations and not _is_exempt(rule, request)]

    async def _review(self, rule: AdmissionRule, request: AdmissionRequest) -> Tree:
        """The object after the rule. For a delete the rule sees the object that is about to go."""
        obj = request.obj if request.obj is not None else request.old
        assert obj is not None, "an admission request has an object, or one that was there"
        review = await rule.review(copy_of(obj), request.old, reader=self._reader, clock=self._clock)
        request.warnings.extend(review.warnings)
        if review.errors:
            raise denial(rule.name, ", ".join(review.errors))
        return review.obj


def _is_exempt(rule: AdmissionRule, request: AdmissionRequest) -> bool:
    """As an object selector decides: all that there is of the object, old and new, must have the label."""
    if rule.exempt is None:
        return False
    key, value = rule.exempt
    return all(labels_of(obj).get(key) == value for obj in (request.obj, request.old) if obj is not None)


def denial(webhook: str, message: str) -> Forbidden:
    """What a client sees of a webhook that said no."""
    if not message:
        return Forbidden(f'admission webhook "{webhook}" denied the request without explanation')
    return Forbidden(f'admission webhook "{webhook}" denied the request: {message}')


def _by_place(rules: Iterable[AdmissionRule]) -> dict[_Place, list[AdmissionRule]]:
    found: dict[_Place, list[AdmissionRule]] = {}
    for rule in rules:
        found.setdefault((rule.kind.group, rule.kind.plural), []).append(rule)
    return found
