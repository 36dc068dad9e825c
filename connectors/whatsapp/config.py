"""The settings of a WhatsApp number."""

import re
from typing import Annotated, Final

from pydantic import AfterValidator, Field, SecretStr

from shared.model import StrictModel

GRAPH_URL: Final = "https://graph.facebook.com"
GRAPH_VERSION: Final = "v26.0"
SECRET: Final = re.compile(r"[!-~]{8,1000}")  # visible ASCII: they travel in headers and addresses


def is_secret(secret: SecretStr) -> SecretStr:
    trimmed = secret.get_secret_value().strip()
    if not SECRET.fullmatch(trimmed):
        raise ValueError("at least 8 letters, digits and signs without spaces; copy the whole of it")
    return SecretStr(trimmed)


Secret = Annotated[SecretStr, AfterValidator(is_secret)]


class WhatsAppConfig(StrictModel):
    phone_number_id: str = Field(
        pattern=r"^[0-9]{1,40}$", description="Meta's id of the number (not the number), from WhatsApp > API Setup."
    )
    waba_id: str = Field(
        pattern=r"^[0-9]{1,40}$", description="Meta's id of the WhatsApp Business account, from the same page."
    )
    access_token: Secret = Field(description="A system user's token that does not expire.")
    app_secret: Secret = Field(description="The app's secret, from App settings > Basic: Meta signs with it.")
    verify_token: Secret = Field(description="A password of your choice; type the same where Meta asks for it.")
    graph_url: str = Field(
        default=GRAPH_URL, pattern=r"^https?://[^\s?#{}]+$", description="Where the Graph API is; for tests."
    )
    graph_version: str = Field(
        default=GRAPH_VERSION, pattern=r"^v[0-9]{1,3}\.[0-9]{1,2}$", description="Meta keeps each for about two years."
    )
