"""Names, label keys and values are accepted or refused as Kubernetes does."""

from random import Random

import pytest

from flowdeck.kube import names


@pytest.mark.parametrize(
    ("rule", "good", "bad"),
    [
        (names.dns_label, ["a", "a-b", "0", "a" * 63], ["", "A", "a.b", "-a", "a-", "a" * 64, "a\n"]),
        (names.dns_subdomain, ["a.b-c", "0.1", "a" * 253], ["", "a..b", ".a", "A", "a" * 254]),
        (names.dns_1035_label, ["a", "a0-b"], ["", "0a", "a.b", "a-"]),
        (names.path_segment, ["A:b", "system:x"], [".", "..", "a/b", "a%b"]),
        (names.qualified_name, ["a", "A_b.c", "x.y/z"], ["", "/a", "a/", "a/b/c", "X.y/z", "a" * 64, "-a"]),
        (names.label_value, ["", "a", "A_b.c-d"], ["-a", "a b", "a" * 64]),
    ],
)
def test_a_name_is_accepted_or_refused(rule, good, bad):
    assert [name for name in good if rule(name)] == []
    assert [name for name in bad if not rule(name)] == []


def test_a_prefix_may_end_in_a_dash():
    assert names.dns_label("job-", True) == []
    assert names.dns_label("job-") != []


def test_what_is_wrong_is_told_in_kubernetes_words():
    assert names.dns_label("A" * 64)[0] == "must be no more than 63 characters"
    assert names.dns_subdomain("A")[0].startswith("a lowercase RFC 1123 subdomain must consist of lower case")


def test_a_generated_name_has_five_safe_characters_and_fits_a_label():
    name = names.generate_name("x" * 70, Random(1))
    assert len(name) == 63
    assert set(name[58:]) <= set("bcdfghjklmnpqrstvwxz2456789")
