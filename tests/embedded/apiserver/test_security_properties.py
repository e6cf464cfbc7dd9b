"""What must hold whatever comes in: nobody gives more than he has, garbage is refused and never crashes."""

import ssl
from itertools import product
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowdeck.certificates import split_pem
from flowdeck.clock import FakeClock
from flowdeck.embedded.apiserver.authentication import ClientCertificates
from flowdeck.embedded.apiserver.contract import Attributes, User
from flowdeck.embedded.apiserver.pki import prepare
from flowdeck.embedded.apiserver.rbac import Rule, missing_rules
from flowdeck.embedded.apiserver.tokens import ServiceAccountTokens, TokenOrder
from flowdeck.kube.errors import Unauthorized
from flowdeck.kube.kinds import SERVICE_ACCOUNT
from tests.embedded.apiserver.in_memory import InMemoryStorage

BOB = User("bob")
VERBS, GROUPS, NAMES = ("get", "list"), ("", "apps"), ("", "a", "b")
PLACES = (("pods", ""), ("pods", "log"), ("jobs", "log"), ("jobs", ""))
PATHS = ("/api", "/api/x", "/metrics")

some = {"min_size": 1, "max_size": 2, "unique": True}
resource_rules = st.builds(
    Rule,
    st.lists(st.sampled_from([*VERBS, "*"]), **some).map(tuple),
    st.lists(st.sampled_from([*GROUPS, "*"]), **some).map(tuple),
    st.lists(st.sampled_from(["pods", "pods/log", "*/log", "jobs", "*"]), **some).map(tuple),
    st.lists(st.sampled_from(["a", "b"]), max_size=2, unique=True).map(tuple),
)
url_rules = st.builds(
    Rule,
    st.lists(st.sampled_from([*VERBS, "*"]), **some).map(tuple),
    urls=st.lists(st.sampled_from([*PATHS, "/api/*", "*"]), **some).map(tuple),
)
rules = st.lists(resource_rules | url_rules, max_size=3)


def everything_askable() -> list[Attributes]:
    asked = [Attributes(BOB, verb, path=path) for verb, path in product(VERBS, PATHS)]
    for verb, group, (resource, sub), name in product(VERBS, GROUPS, PLACES, NAMES):
        asked.append(Attributes(BOB, verb, group=group, resource=resource, subresource=sub, name=name))
    return asked


ASKED = everything_askable()


def allowed(owned: list[Rule]) -> set[int]:
    return {number for number, asked in enumerate(ASKED) if any(rule.allows(asked) for rule in owned)}


@given(owned=rules, wanted=rules)
def test_rules_that_lack_nothing_allow_nothing_new(owned: list[Rule], wanted: list[Rule]) -> None:
    if not missing_rules(owned, wanted):
        assert allowed(wanted) <= allowed(owned)


@given(owned=rules, wanted=rules)
def test_with_what_is_missing_nothing_is_missing(owned: list[Rule], wanted: list[Rule]) -> None:
    missing = missing_rules(owned, wanted)
    assert missing_rules([*owned, *missing], wanted) == []
    assert allowed(missing) <= allowed(wanted)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    pki = prepare(tmp_path_factory.mktemp("pki"), node="n", now=FakeClock().now())
    return ssl.PEM_cert_to_DER_cert(split_pem(pki.node.read_text())[0])


@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_a_damaged_certificate_is_read_or_refused(certificate: bytes, data: st.DataObject) -> None:
    damaged = bytearray(certificate)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        await ClientCertificates(FakeClock()).authenticate({}, bytes(damaged))
    except Unauthorized as refused:
        assert "x509" in refused.message  # noqa: PT017 - either outcome is fine


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> tuple[ServiceAccountTokens, str]:
    clock = FakeClock()
    account = {"metadata": {"name": "robot", "namespace": "team"}}
    storage = InMemoryStorage((SERVICE_ACCOUNT, account))
    folder: Path = tmp_path_factory.mktemp("pki")
    keys = prepare(folder, node="n", now=clock.now())
    found = ServiceAccountTokens(keys.service_account, storage=storage, clock=clock, issuer="https://kubernetes")
    return found, found.issue(TokenOrder(account=account))


@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_a_changed_token_is_never_taken(tokens: tuple[ServiceAccountTokens, str], data: st.DataObject) -> None:
    verifier, good = tokens
    place = data.draw(st.integers(0, len(good) - 2))  # the last letter has spare bits that mean nothing
    changed = good[:place] + data.draw(st.characters(codec="latin-1")) + good[place + 1 :]
    try:
        found = await verifier.authenticate_token(changed, ())
    except Unauthorized:
        return
    assert found is None or changed == good
