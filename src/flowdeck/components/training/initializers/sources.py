"""Which provider fetches a source: the table by scheme, and how a program ends."""

import sys
import time
from collections.abc import Callable, Mapping

from flowdeck.components.training.initializers.report import say
from flowdeck.components.training.initializers.settings import InitializerError, Source

Providers = Mapping[str, Callable[[Source], None]]


def run(read: Callable[[], Source], providers: Providers) -> None:
    """Fetches, and exits with 1 and the reason when that does not succeed."""
    began = time.monotonic()
    try:
        source = read()
        provider = providers.get(source.scheme)
        if provider is None:
            known = ", ".join(f"{scheme}://" for scheme in providers)
            raise InitializerError(f"unknown scheme {source.scheme!r} in STORAGE_URI {source.uri!r}; known: {known}")
        provider(source)
    except InitializerError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        sys.exit(1)
    say(f"Done in {time.monotonic() - began:.1f} s: {source.destination}")
