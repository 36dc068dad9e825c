"""What a person types to connect a Parrot account."""

from pydantic import Field, SecretStr

from shared.model import StrictModel


class ParrotConfig(StrictModel):
    account: str = Field(min_length=1, description="Name of the account at Parrot.")
    token: SecretStr = Field(description="Token of the send API.")
    signing_secret: SecretStr = Field(description="Secret with which Parrot signs its requests to us.")
    base_url: str = Field(default="https://api.parrot.example", description="Where the send API is.")
