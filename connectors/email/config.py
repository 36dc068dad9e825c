"""The settings of a mailbox."""

import re
import secrets
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator

from shared.model import StrictModel

Security = Literal["tls", "starttls", "none"]

ADDRESS: Final = re.compile(r"[^\s@<>,;:\"()\[\]\\]{1,64}@[^\s@<>,;:\"()\[\]\\]{1,190}")
HOST: Final = r"^[A-Za-z0-9._:-]{1,253}$"
LINE: Final = r"^[^\r\n\x00]*$"
PORTS: Final[dict[tuple[str, str], int]] = {
    ("imap", "tls"): 993,
    ("imap", "starttls"): 143,
    ("imap", "none"): 143,
    ("smtp", "tls"): 465,
    ("smtp", "starttls"): 587,
    ("smtp", "none"): 25,
}


def is_address(text: str) -> str:
    """An address of ours in lower case: the same however it is typed."""
    trimmed = text.strip().lower()
    if not ADDRESS.fullmatch(trimmed) or "." not in trimmed.rpartition("@")[2]:
        raise ValueError("an address looks like help@shop.example")
    return trimmed


def is_hook_secret(secret: SecretStr) -> SecretStr:
    if not re.fullmatch(r"[A-Za-z0-9_-]{16,256}", secret.get_secret_value()):
        raise ValueError("16 to 256 letters, digits, - and _; leave it out to have one made")
    return secret


def made() -> SecretStr:
    return SecretStr(secrets.token_urlsafe(32))


class EmailConfig(StrictModel):
    """Without `imap_host` mail comes only by the hook; without `smtp_host` nothing can be answered."""

    address: Annotated[str, AfterValidator(is_address)] = Field(description="The mailbox, such as help@shop.example.")
    name: Annotated[str, Field(max_length=100, pattern=LINE)] = Field(
        default="", description="How the shop is called in front of the address."
    )
    username: Annotated[str | None, Field(max_length=200, pattern=LINE)] = Field(
        default=None, description="For both servers; the address, if not said."
    )
    password: SecretStr | None = Field(default=None, description="Of the mailbox, or an app password.")
    oauth_token_url: Annotated[str | None, Field(pattern=r"^https?://[^\s?#{}]+$")] = Field(
        default=None, description="Where an access token is asked for (Gmail, Microsoft 365), in place of a password."
    )
    oauth_client_id: str | None = None
    oauth_client_secret: SecretStr | None = None
    oauth_refresh_token: SecretStr | None = None
    oauth_scope: str | None = Field(default=None, description="Microsoft wants it named again at each renewal.")
    imap_host: Annotated[str | None, Field(pattern=HOST)] = None
    imap_port: Annotated[int | None, Field(ge=1, le=65535)] = None
    imap_security: Security = "tls"
    folder: Annotated[str, Field(min_length=1, max_length=200, pattern=LINE)] = "INBOX"
    sent_folder: Annotated[str | None, Field(max_length=200, pattern=LINE)] = Field(
        default=None, description="What people send from the mailbox by other programs is shown from there."
    )
    import_days: Annotated[int, Field(ge=0, le=3650)] = Field(
        default=0, description="How many days of older mail are taken in when the mailbox is connected."
    )
    poll_s: Annotated[float, Field(ge=1, le=300)] = Field(
        default=60, description="Seconds between two looks at the mailbox, beside being told of new mail at once."
    )
    smtp_host: Annotated[str | None, Field(pattern=HOST)] = None
    smtp_port: Annotated[int | None, Field(ge=1, le=65535)] = None
    smtp_security: Security = "tls"
    rate_per_minute: Annotated[float, Field(gt=0, le=6000)] = Field(
        default=30, description="Mails that may leave in a minute; providers allow 30 or more."
    )
    plus_addresses: bool = Field(
        default=False,
        description="The server delivers help+anything@shop.example too: answers and bounces then find their mail "
        "even if a program loses the head of the mail.",
    )
    authserv_id: Annotated[str | None, Field(pattern=HOST)] = Field(
        default=None,
        description="How your server names itself in Authentication-Results; without it no sender is called verified.",
    )
    ask_read: bool = Field(default=False, description="Ask the customer's program for a receipt when they read.")
    ask_delivered: bool = Field(default=False, description="Ask the servers for a receipt when they delivered.")
    signature: Annotated[str, Field(max_length=2000)] = Field(default="", description="Below every answer.")
    hook_secret: Annotated[SecretStr, AfterValidator(is_hook_secret)] = Field(
        default_factory=made, description="What a service that posts mail here proves itself with. Made by itself."
    )
    signing_key: SecretStr = Field(default_factory=made, description="Signs the ids of our mails. Made by itself.")

    @model_validator(mode="after")
    def credentials_are_whole(self) -> Self:
        oauth = (self.oauth_token_url, self.oauth_client_id, self.oauth_refresh_token)
        if any(oauth) and not all(oauth):
            raise ValueError("OAuth needs oauth_token_url, oauth_client_id and oauth_refresh_token together")
        if self.imap_host and not self.password and not all(oauth):
            raise ValueError("the mailbox needs a password, or the three settings of OAuth")
        return self

    @property
    def login(self) -> str:
        return self.username or self.address

    @property
    def uses_oauth(self) -> bool:
        return self.oauth_refresh_token is not None

    def port_of(self, protocol: Literal["imap", "smtp"]) -> int:
        given = self.imap_port if protocol == "imap" else self.smtp_port
        security = self.imap_security if protocol == "imap" else self.smtp_security
        return given or PORTS[protocol, security]
