"""Errors that know their fate.

ShopbellError
├── IngressError            what a provider's request is answered with
│   ├── BadSignature        401
│   ├── Malformed           400
│   ├── Ignored             200: known, and of no interest
│   └── UnknownChannel      404 inside, 401 to the outside
├── SendError               what becomes of a send
│   ├── Unsupported         never: the channel cannot say it
│   ├── Rejected            never: the provider refused this message
│   ├── Unreachable         never: this partner cannot be reached
│   ├── WindowClosed        never: outside the time for free answers
│   ├── Throttled           later: the provider wants us slower
│   ├── Unavailable         later: nothing left us
│   ├── AuthExpired         pause: a person must renew the channel's credentials
│   └── Uncertain           ask: it may have arrived
└── BusError
    ├── BusUnavailable      the message was not taken; the caller may try again
    └── NoAnswer            nobody answered the query

The text of an error never has a secret, a signature or a customer's words in it.
"""

from collections.abc import Sequence
from typing import ClassVar, Self

from shared.events import Fate


class ShopbellError(Exception):
    """Every error of ours. The message is a sentence that a stranger can act on."""

    code: ClassVar[str] = "error"

    def __init__(self, detail: str | None = None) -> None:
        self.detail = detail or (type(self).__doc__ or self.code).splitlines()[0]
        super().__init__(self.detail)


class IngressError(ShopbellError):
    """The request of a provider was not taken in."""

    http_status: ClassVar[int]


class BadSignature(IngressError):
    """The request does not carry a valid signature for this channel."""

    code = "bad_signature"
    http_status = 401


class Malformed(IngressError):
    """The request is not what this provider sends."""

    code = "malformed"
    http_status = 400


class Ignored(IngressError):
    """The request is understood and of no interest."""

    code = "ignored"
    http_status = 200


class UnknownChannel(IngressError):
    """There is no such channel."""

    code = "unknown_channel"
    http_status = 404


class SendError(ShopbellError):
    """A command did not reach the partner."""

    fate: ClassVar[Fate]
    retry_after_s: float | None = None
    sent: tuple[str, ...] = ()
    """External ids as in `Sent`, of the parts before the one at which this happened; there the next attempt starts."""

    def after(self, sent: Sequence[str]) -> Self:
        """The same error, of a message of which these parts went out."""
        self.sent = tuple(sent)
        return self


class Unsupported(SendError):
    """The channel cannot carry this."""

    code = "unsupported"
    fate = Fate.NEVER


class Rejected(SendError):
    """The provider refused the message."""

    code = "rejected"
    fate = Fate.NEVER


class Unreachable(SendError):
    """The partner cannot be reached on this channel."""

    code = "unreachable"
    fate = Fate.NEVER


class WindowClosed(SendError):
    """The time for free answers is over; a template may still be allowed."""

    code = "reply_window_closed"
    fate = Fate.NEVER


class Throttled(SendError):
    """The provider asked us to slow down."""

    code = "throttled"
    fate = Fate.LATER

    def __init__(
        self, detail: str | None = None, *, retry_after_s: float | None = None, whole_account: bool = False
    ) -> None:
        """`whole_account`: not this partner alone has to wait, but everything that leaves by this channel."""
        super().__init__(detail)
        self.retry_after_s = retry_after_s
        self.whole_account = whole_account


class Unavailable(SendError):
    """The provider could not be reached; nothing was sent."""

    code = "unavailable"
    fate = Fate.LATER


class AuthExpired(SendError):
    """The channel's credentials no longer work; renew them and activate the channel again."""

    code = "auth_expired"
    fate = Fate.PAUSE


class Uncertain(SendError):
    """It is not known whether the provider took the message."""

    code = "uncertain"
    fate = Fate.ASK


class BusError(ShopbellError):
    """The bus did not do its work."""


class BusUnavailable(BusError):
    """The message was not taken; try again."""

    code = "bus_unavailable"


class NoAnswer(BusError):
    """Nobody answered the query."""

    code = "no_answer"
