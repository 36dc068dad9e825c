"""The settings of a site chat."""

import secrets
from typing import Annotated

from pydantic import Field, SecretStr, StringConstraints

from shared.model import StrictModel

Origin = Annotated[str, StringConstraints(pattern=r"^(\*|https?://[^/\s]+)$", max_length=200)]


class WebChatConfig(StrictModel):
    """`allowed_origins`: the pages that may show the chat, such as `https://shop.example`; `*` means any."""

    allowed_origins: Annotated[tuple[Origin, ...], Field(min_length=1)] = ("*",)
    title: Annotated[str, Field(min_length=1, max_length=100)] = "Chat with us"
    greeting: Annotated[str, Field(max_length=500)] = "Hello! How can we help you?"
    signing_key: SecretStr = Field(default_factory=lambda: SecretStr(secrets.token_urlsafe(32)))
