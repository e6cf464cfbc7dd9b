"""Names of objects."""

from random import Random

_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
_MAX_BASE = 58


def generate_name(base: str, random: Random) -> str:
    """`generateName` plus five characters. Source: k8s.io/apiserver (pkg/storage/names/generate.go)."""
    return base[:_MAX_BASE] + "".join(random.choices(_ALPHABET, k=5))
