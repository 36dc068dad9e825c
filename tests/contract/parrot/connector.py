"""Parrot's I/O."""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import ClassVar, Final, cast

import httpx
from pydantic import JsonValue

from shared.commands import EditMessage, MarkRead, SendMessage, Sent, SetTyping
from shared.connector import ChannelType, Connector, Fetched, Health, Hook, Sink
from shared.content import Media
from shared.errors import AuthExpired, BadSignature, Rejected, SendError, Throttled, Unavailable, Uncertain, Unreachable
from shared.events import InboundEvent
from tests.contract.parrot.capabilities import CAPABILITIES
from tests.contract.parrot.config import ParrotConfig
from tests.contract.parrot.inbound import parse_batch, parse_sent
from tests.contract.parrot.outbound import Body, render_edit, render_message

SIGNATURE: Final = "x-parrot-signature"
TIMEOUT_S: Final = 2.0
NEVER_LEFT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
REFUSALS: Final[Mapping[int, type[SendError]]] = {400: Rejected, 401: AuthExpired, 403: Rejected, 404: Unreachable}


class ParrotConnector(Connector):
    channel_type: ClassVar[ChannelType] = ChannelType("parrot", "Parrot", CAPABILITIES, ParrotConfig)

    @property
    def config(self) -> ParrotConfig:
        return cast(ParrotConfig, self.port.config)

    def verify(self, hook: Hook) -> None:
        expected = sign(self.config.signing_secret.get_secret_value(), hook.body)
        if not hmac.compare_digest(expected.encode(), hook.headers.get(SIGNATURE, "").encode()):
            raise BadSignature("The signature is not Parrot's; compare the signing secret.")

    def parse(self, hook: Hook) -> Sequence[InboundEvent]:
        return parse_batch(hook, self.config.account)

    async def send(self, command: SendMessage) -> Sent:
        body, degraded = render_message(command)
        external_id = parse_sent(await self.call("POST", "/messages", body))
        if external_id is None:
            raise Uncertain("Parrot said yes and gave no id; look in its journal whether it has the message.")
        return Sent(external_ids=(external_id,), degraded=degraded)

    async def edit(self, command: EditMessage) -> None:
        for external_id in command.external_ids:
            await self.call("PUT", f"/messages/{external_id}", render_edit(command))

    async def mark_read(self, command: MarkRead) -> None:
        await self.call("POST", "/read", {"peer": command.address.peer, "up_to": command.external_id})

    async def set_typing(self, command: SetTyping) -> None:
        await self.call("POST", "/typing", {"peer": command.address.peer, "on": command.on})

    async def fetch_media(self, media: Media, into: Sink) -> Fetched:
        response = await self.request("GET", f"/files/{media.source}", None)
        await into(response.content)
        return Fetched(response.headers.get("content-type"))

    async def check(self) -> Health:
        try:
            await self.call("GET", "/account", None)
        except SendError as error:
            return Health((error.detail,))
        return Health()

    async def call(self, method: str, path: str, body: Body | None) -> JsonValue:
        response = await self.request(method, path, body)
        try:
            answer: JsonValue = response.json()
        except ValueError:
            raise Uncertain("Parrot's answer cannot be read; look in its journal whether it was done.") from None
        return answer

    async def request(self, method: str, path: str, body: Body | None) -> httpx.Response:
        """One exchange; raises what became of it. Errors of httpx know the address and the headers: not chained."""
        headers = {"authorization": f"Bearer {self.config.token.get_secret_value()}"}
        url = self.config.base_url + path
        try:
            response = await self.port.http.request(method, url, json=body, headers=headers, timeout=TIMEOUT_S)
        except NEVER_LEFT:
            raise Unavailable("Parrot cannot be reached.") from None
        except httpx.HTTPError as error:
            raise Uncertain(f"The exchange with Parrot broke off ({type(error).__name__}).") from None
        if response.is_success:
            return response
        raise refusal(response)


def sign(secret: str, body: bytes) -> str:
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def refusal(response: httpx.Response) -> SendError:
    if response.status_code == 429:
        return Throttled("Parrot wants us slower.", retry_after_s=read_retry_after(response.headers.get("retry-after")))
    if response.status_code >= 500:
        return Uncertain(f"Parrot failed with {response.status_code}; it may have the message.")
    return REFUSALS.get(response.status_code, Rejected)(f"Parrot refused with {response.status_code}.")


def read_retry_after(text: str | None) -> float | None:
    return float(text) if text is not None and text.isascii() and text.isdigit() else None
