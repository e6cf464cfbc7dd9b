"""API versions in the order of their preference: `v2`, `v1`, `v1beta2`, `v1alpha1`, then other names by letter.

Source: k8s.io/apimachinery (pkg/version/helpers.go).
"""

import re

_VERSION = re.compile(r"v([1-9]\d*)(?:(alpha|beta)([1-9]\d*))?\Z")
_STAGES = {None: 0, "beta": 1, "alpha": 2}


def version_priority(version: str) -> tuple[int, int, int, int, str]:
    """A sort key that puts the most preferred version first."""
    match = _VERSION.match(version)
    if match is None:
        return (1, 0, 0, 0, version)
    major, stage, minor = match.groups()
    return (0, _STAGES[stage], -int(major), -int(minor or 0), "")
