"""Tells a server behind a proxy who sent a request, in a way that nobody else can.

    vouchers = Vouchers()                              # both sides have it, and nobody else
    headers[HEADER] = vouchers.write(user, now)        # the proxy
    user = vouchers.read(headers[HEADER], now)         # the server

A voucher is good for a minute. The key is made anew with each `Vouchers`: it is on no disk.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from flowdeck.clock import Clock
from flowdeck.kube.errors import Unauthorized
from flowdeck.web.identity import User

HEADER = "x-flowdeck-user"
GOOD_FOR_S = 60.0


class _Voucher(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    name: str
    groups: list[str]
    until: float


@dataclass(frozen=True)
class Vouchers:
    """See the module's text."""

    _key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)

    def write(self, user: User, now: datetime) -> str:
        """The value of `HEADER`."""
        voucher = _Voucher(user.name, list(user.groups), now.timestamp() + GOOD_FOR_S)
        text = base64.urlsafe_b64encode(msgspec.json.encode(voucher))
        return f"{text.decode()}.{self._signature(text)}"

    def read(self, value: str, now: datetime) -> User:
        """Raises `Unauthorized` for one that was not written here, or is too old."""
        text, _, signature = value.partition(".")
        if not hmac.compare_digest(self._signature(text.encode()).encode(), signature.encode()):
            raise Unauthorized(f"the header {HEADER} is the platform's own: leave it out")
        try:
            voucher = msgspec.json.decode(base64.urlsafe_b64decode(text), type=_Voucher)
        except (binascii.Error, msgspec.DecodeError) as error:
            raise Unauthorized(f"the header {HEADER} cannot be read: {error}") from error
        if voucher.until < now.timestamp():
            raise Unauthorized(f"the header {HEADER} is too old: send the request again")
        return User(voucher.name, tuple(voucher.groups))

    def _signature(self, text: bytes) -> str:
        return hmac.new(self._key, text, hashlib.sha256).hexdigest()


@dataclass(frozen=True)
class Vouched:
    """The `Identity` of requests that came through the proxy."""

    vouchers: Vouchers
    clock: Clock

    async def of(self, headers: Mapping[str, str]) -> User | None:
        value = headers.get(HEADER)
        return None if value is None else self.vouchers.read(value, self.clock.now())
