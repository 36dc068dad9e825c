"""Access tokens for mail servers that take no password: asked for anew before they run out (RFC 6749, section 6)."""

import time
from typing import Any, Final

import httpx

from connectors.email.config import EmailConfig
from shared.errors import AuthExpired, Unavailable

EARLY_S: Final = 120  # before its end a token is no longer used for a new connection
LIFETIME_S: Final = 3600  # where the server does not say
REFUSED: Final = "The mail provider no longer accepts the authorisation ({error}); connect the mailbox again."


class Tokens:
    """The access token of a mailbox. `refresh_token` is the newest: some providers hand out another one each time."""

    def __init__(self, config: EmailConfig, http: httpx.AsyncClient) -> None:
        assert config.oauth_refresh_token is not None
        assert config.oauth_token_url is not None
        self._config = config
        self._url = config.oauth_token_url
        self._http = http
        self._token: str | None = None
        self._until = 0.0
        self.refresh_token = config.oauth_refresh_token.get_secret_value()

    async def access_token(self, *, renew: bool = False) -> str:
        """A token that works for a while. `renew`: the last one was refused. Raises `AuthExpired`, `Unavailable`."""
        if self._token is None or renew or time.monotonic() > self._until - EARLY_S:
            answer = await self._ask()
            self._token = str(answer["access_token"])
            lifetime = answer.get("expires_in")
            self._until = time.monotonic() + (float(lifetime) if isinstance(lifetime, int | float) else LIFETIME_S)
            newer = answer.get("refresh_token")
            self.refresh_token = newer if isinstance(newer, str) and newer else self.refresh_token
        return self._token

    async def _ask(self) -> dict[str, Any]:
        secret = self._config.oauth_client_secret
        form = {
            "grant_type": "refresh_token",
            "refresh_token": self.refresh_token,
            "client_id": self._config.oauth_client_id or "",
            **({"client_secret": secret.get_secret_value()} if secret else {}),
            **({"scope": self._config.oauth_scope} if self._config.oauth_scope else {}),
        }
        try:
            response = await self._http.post(self._url, data=form)
            answer = response.json()
        except (httpx.HTTPError, ValueError) as error:
            raise Unavailable(
                f"The mail provider's authorisation server did not answer ({type(error).__name__})."
            ) from None
        if response.status_code == 200 and isinstance(answer, dict) and isinstance(answer.get("access_token"), str):
            return answer
        refusal = answer.get("error") if isinstance(answer, dict) else None
        if response.status_code in (400, 401, 403) and refusal not in ("temporarily_unavailable", "slow_down"):
            raise AuthExpired(REFUSED.format(error=refusal if isinstance(refusal, str) else response.status_code))
        raise Unavailable(
            f"The mail provider's authorisation server answered {response.status_code}; it is tried again."
        )
