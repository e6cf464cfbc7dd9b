"""Kubernetes quantities: `500m`, `1.5Gi`, `2e3`, exact.

Source: k8s.io/apimachinery (pkg/api/resource/quantity.go): canonical form keeps the suffix family, no fractional
digits, the largest exponent possible; values finer than nano are rounded up.
"""

import re
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal, localcontext
from functools import lru_cache
from typing import Literal

_PATTERN = re.compile(r"([+-]?)(\d+\.?\d*|\.\d+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?\d+)?")
_BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY_SUFFIX = {power: suffix for suffix, power in _BINARY.items()}
_DECIMAL_SUFFIX = {power: suffix for suffix, power in _DECIMAL.items()}
_NANO = Decimal("1e-9")
_MAX = Decimal(2**63 - 1)

ERROR = r"quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
"""What the API says of a text that is no quantity."""

Family = Literal["decimal", "binary", "exponent"]


@dataclass(frozen=True)
class Quantity:
    """An exact amount and the suffix family that it is written in. Compare `.value`s."""

    value: Decimal
    family: Family = "decimal"

    def __str__(self) -> str:
        """The canonical text."""
        if not self.value:
            return "0"
        if self.family == "binary" and abs(self.value) >= 1024 and self.value == self.value.to_integral_value():
            return _binary_text(int(self.value))
        return _decimal_text(self.value, "decimal" if self.family == "binary" else self.family)

    def __add__(self, other: "Quantity") -> "Quantity":
        with localcontext(prec=60):
            return Quantity(self.value + other.value, self.family if self.value else other.family)

    def __sub__(self, other: "Quantity") -> "Quantity":
        with localcontext(prec=60):
            return Quantity(self.value - other.value, self.family if self.value else other.family)

    def __lt__(self, other: "Quantity") -> bool:
        return self.value < other.value

    def __le__(self, other: "Quantity") -> bool:
        return self.value <= other.value

    @property
    def whole(self) -> int:
        """Rounded up to an integer, as `Value()` upstream."""
        return int(self.value.to_integral_value(ROUND_CEILING))

    @property
    def milli(self) -> int:
        """Thousandths, rounded up, as `MilliValue()` upstream."""
        return int((self.value * 1000).to_integral_value(ROUND_CEILING))


ZERO = Quantity(Decimal(0))


@lru_cache(maxsize=8192)
def _parse(text: str) -> Quantity:
    match = _PATTERN.fullmatch(text)
    if match is None:
        raise ValueError(ERROR)
    sign, digits, suffix = match.groups()
    value, family = Decimal(sign + digits), "decimal"
    with localcontext(prec=60):
        if suffix in _BINARY:
            value, family = value * 1024 ** _BINARY[suffix], "binary"
        elif suffix and suffix in _DECIMAL:
            value = value.scaleb(_DECIMAL[suffix])
        elif suffix:
            if abs(int(suffix[1:])) > 400:
                raise ValueError(ERROR)
            value, family = value.scaleb(int(suffix[1:])), "exponent"
        if abs(value) > _MAX:
            value = _MAX.copy_sign(value)
        rounded = value.quantize(_NANO, rounding=ROUND_CEILING if value > 0 else "ROUND_FLOOR")
    return Quantity(rounded if rounded != value else value, family)  # type: ignore[arg-type]


def parse_quantity(value: str | float | int) -> Quantity:
    """Reads a quantity; JSON numbers are taken too (`2.0` is `2`). Raises `ValueError` with the API's text."""
    if isinstance(value, bool):
        raise ValueError(ERROR)
    if isinstance(value, int | float):
        return _parse(_number_text(value))
    return _parse(value)


def is_quantity(value: object) -> bool:
    """True for what `parse_quantity` takes."""
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        return False
    try:
        parse_quantity(value)
    except ValueError:
        return False
    return True


def canonical(value: str | float | int) -> str:
    """The text that the API shows for a quantity; raises `ValueError`."""
    return str(parse_quantity(value))


def _number_text(value: float | int) -> str:
    return str(value) if isinstance(value, int) else format(Decimal(repr(value)), "f")


def _binary_text(value: int) -> str:
    power = 0
    while power < 6 and value % 1024 == 0:
        value //= 1024
        power += 1
    return f"{value}{_BINARY_SUFFIX.get(power, '')}"


def _decimal_text(value: Decimal, family: Family) -> str:
    with localcontext(prec=60):
        power = -9
        digits = int(value.scaleb(9))
    while digits % 1000 == 0 and power < 18:
        digits //= 1000
        power += 3
    if family == "exponent":
        return f"{digits}e{power}" if power else str(digits)
    return f"{digits}{_DECIMAL_SUFFIX[power]}"
