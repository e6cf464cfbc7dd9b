"""The Kubeflow platform, whole, in Python.

In a script or a notebook:

    import flowdeck
    with flowdeck.platform() as p:      # a platform of your own, on a free port
        print(p.kubeconfig)
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flowdeck.testing.platform import RunningPlatform, platform

__all__ = ["RunningPlatform", "platform"]


def __getattr__(name: str) -> Any:
    """Loads the public names when they are first used: `import flowdeck` costs nothing."""
    if name in __all__:
        from flowdeck.testing import platform as module

        return getattr(module, name)
    raise AttributeError(f"module 'flowdeck' has no attribute {name!r}")
