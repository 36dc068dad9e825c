"""The settings of a site chat."""

import secrets
from typing import Annotated

from pydantic import Field, SecretStr, StringConstraints

from shared.model import StrictModel

Origin = Annotated[str, StringConstraints(pattern=r"^(\*|https?://[^/\s]+)$", max_length=200)]


class WebChatConfig(StrictModel):
    """`allowed_origins`: the pages that may show the chat, such as `https://shop.example`; `*` means any.

    `forms_to`: the e-mail channel of the shop by which contact forms with an e-mail address are answered; without it
    they land in the chat. `form_answer_hours`: how soon their senders may expect an answer.
    """

    allowed_origins: Annotated[tuple[Origin, ...], Field(min_length=1)] = ("*",)
    title: Annotated[str, Field(min_length=1, max_length=100)] = "Chat with us"
    greeting: Annotated[str, Field(max_length=500)] = "Hello! How can we help you?"
    forms_to: Annotated[str, Field(pattern=r"^chn_[0-9a-z]{26}$")] | None = None
    form_answer_hours: Annotated[int, Field(ge=1, le=720)] = 24
    signing_key: SecretStr = Field(default_factory=lambda: SecretStr(secrets.token_urlsafe(32)))
