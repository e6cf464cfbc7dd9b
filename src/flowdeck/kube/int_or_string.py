"""Numbers that may be shares: `3`, or `"25%"` of something. Source: k8s.io/apimachinery (pkg/util/intstr)."""


def scaled_value(value: int | str, whole: int, *, round_up: bool) -> int:
    """The number that `value` means of `whole`: `3` is 3, `"25%"` a quarter, rounded."""
    if isinstance(value, str) and value.endswith("%"):
        exact = int(value[:-1]) * whole
        return -(-exact // 100) if round_up else exact // 100
    return int(value)
