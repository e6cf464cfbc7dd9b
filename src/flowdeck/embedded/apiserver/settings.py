"""What can be set about the API server beside where it listens."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class WatchLimits:
    """How many watches may be open at once over HTTP; one more is answered by 429."""

    most: int = 10_000
    most_of_user: int = 2_000


DEFAULT_WATCHES = WatchLimits()


@dataclass(frozen=True, kw_only=True)
class Provider:
    """An issuer whose users are let in, and how its claims name them."""

    issuer_url: str
    """The `iss` claim, `https://...`; its discovery document is below it."""
    client_id: str
    """Must be among the token's audiences."""
    username_claim: str = "sub"
    username_prefix: str | None = None
    """None: `ISSUER#` for every claim but `email`; `-`: no prefix."""
    groups_claim: str = ""
    """A text or a list of texts; `""`: no groups."""
    groups_prefix: str = ""
    required_claims: Mapping[str, str] = field(default_factory=dict)
    signing_algorithms: tuple[str, ...] = ("RS256",)
    ca_file: Path | None = None
    """Who signed the provider's certificate, when it is none of the system's authorities."""
