"""How the platform's processes log: lines with key-values on standard error, tracebacks without local variables."""

import contextlib
import logging
import sys
from typing import TextIO, cast

import structlog


class _BestEffort:
    """Standard error; what a full disk does not take is lost, and nobody fails for it."""

    def write(self, text: str) -> None:
        with contextlib.suppress(OSError):
            sys.stderr.write(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            sys.stderr.flush()


def configure() -> None:
    """Once, at the start of a process. Local variables stay out of tracebacks: they may hold secrets."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
            ),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(cast(TextIO, _BestEffort())),
        cache_logger_on_first_use=True,
    )
    logging.getLogger("uvicorn.error").addFilter(
        lambda record: record.levelno >= logging.ERROR and not _is_refusal(record)
    )


def _is_refusal(record: logging.LogRecord) -> bool:
    """A WebSocket that was refused by an ordinary HTTP answer is no error of the server."""
    return record.getMessage().startswith("ASGI callable returned without completing handshake")
