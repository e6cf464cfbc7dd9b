"""Loads modules that are heavy when they are needed, not at the start."""

import asyncio
import importlib
import threading
from types import ModuleType

_ONE_AT_A_TIME = threading.Lock()
"""Two threads that begin with a package whose parts import each other (SQLAlchemy) see half of it."""


async def load(module: str) -> ModuleType:
    """The module; it is loaded in a thread. Raises `ImportError`."""
    return await asyncio.to_thread(_load, module)


def _load(module: str) -> ModuleType:
    with _ONE_AT_A_TIME:
        return importlib.import_module(module)
