"""Quantities are read exactly and shown in canonical form."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowdeck.kube.quantity import canonical, is_quantity, parse_quantity


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("0", "0"), ("0Mi", "0"), ("1", "1"), ("1000m", "1"), ("500m", "500m"), ("0.5", "500m"), ("1.5Gi", "1536Mi"),
        ("1024Ki", "1Mi"), ("1000Ki", "1000Ki"), ("1000k", "1M"), ("2e3", "2e3"), ("2000e0", "2e3"), ("1E3", "1e3"),
        ("1E", "1E"), ("100Mi", "100Mi"), ("0.0000000001", "1n"), ("-1.5", "-1500m"), ("+1", "1"), (".5", "500m"),
        ("1.", "1"), ("512", "512"), ("0.5Ki", "512"), ("12345678", "12345678"), (2.0, "2"), (2, "2"), (0.5, "500m"),
        (1e3, "1k"), ("100000000000000000000", "9223372036854775807"),
    ],
)  # fmt: skip
def test_a_quantity_is_shown_in_canonical_form(text, shown):
    assert canonical(text) == shown


@pytest.mark.parametrize("text", ["", "x", "1x", "1 Gi", "1.2.3", "1ki", "--1", "1e", True])
def test_what_is_no_quantity_is_refused(text):
    assert not is_quantity(text)
    with pytest.raises(ValueError, match="quantities must match the regular expression"):
        parse_quantity(text)


def test_quantities_add_and_compare():
    assert str(parse_quantity("1Gi") + parse_quantity("512Mi")) == "1536Mi"
    assert str(parse_quantity("1") - parse_quantity("300m")) == "700m"
    assert parse_quantity("1000m").value == parse_quantity("1").value
    assert parse_quantity("1k") < parse_quantity("1Ki")
    assert parse_quantity("1500m").whole == 2
    assert parse_quantity("1500m").milli == 1500


@given(st.integers(-(10**15), 10**15), st.sampled_from(["", "m", "u", "k", "M", "Ki", "Mi", "e2", "e-3"]))
def test_the_canonical_text_means_the_same_and_is_stable(number, suffix):
    quantity = parse_quantity(f"{number}{suffix}")
    again = parse_quantity(str(quantity))
    assert again.value == quantity.value
    assert str(again) == str(quantity)
    assert isinstance(again.value, Decimal)
