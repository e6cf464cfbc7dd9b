"""The network of pods: not everybody on this machine reaches their addresses."""

import socket
from collections.abc import Awaitable, Callable

ToPod = Callable[[str, int], Awaitable[socket.socket | None]]
"""A TCP connection to an address and port; None for an address that is no pod's. Raises `OSError`."""


async def reached_directly(address: str, port: int) -> None:
    """`ToPod` where pods are reached like everybody else."""
