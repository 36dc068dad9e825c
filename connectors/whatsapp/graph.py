"""The Graph API over the product's HTTP client: requests, answers and files; errors are ours.

No text of an error has the token or a customer's words in it, and none is chained to one that has.
"""

import base64
import contextlib
import hashlib
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

import httpx

from connectors.whatsapp.config import WhatsAppConfig
from connectors.whatsapp.files import Upload
from connectors.whatsapp.reading import Json, number, words
from connectors.whatsapp.refusals import UNCLEAR, error_in, meaning_of
from shared.connector import Sink
from shared.errors import Rejected, SendError, Unavailable, Uncertain

NEVER_LEFT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)
TIMEOUT_S: Final = 25  # of silence; shorter than the 30 s after which the relay gives an attempt up
FILE_TIMEOUT_S: Final = 60
CONNECT_TIMEOUT_S: Final = 5.0
ANSWER_MAX_BYTES: Final = 8 * 1024 * 1024  # a page of a hundred templates has far less
PIECE_BYTES: Final = 64 * 1024
REDIRECTS_MAX: Final = 3
# Where Meta keeps files. Nothing else is asked, and nobody else gets the token.
FILE_HOSTS: Final = ("fbsbx.com", "facebook.com", "fbcdn.net", "whatsapp.net")
GONE: Final = "WhatsApp no longer has the file: it keeps them for seven days."


class Graph:
    """Speaks for one number."""

    def __init__(self, http: httpx.AsyncClient, config: WhatsAppConfig) -> None:
        self._http = http
        self._base = config.graph_url.rstrip("/")
        self._version = config.graph_version
        self._token = config.access_token

    @property
    def _authorization(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self._token.get_secret_value()}", "user-agent": AGENT}

    def _url(self, path: str) -> str:
        return f"{self._base}/{self._version}/{path}"

    # Asking and telling

    async def post(self, path: str, body: Mapping[str, Any]) -> Json:
        """What Meta answers. Raises a `SendError`; `Uncertain` if it may have been carried out."""
        content = json.dumps(body).encode()
        return await self._call("POST", path, content=content, headers={"content-type": "application/json"})

    async def post_harmless(self, path: str, body: Mapping[str, Any]) -> Json:
        """The same for what may be done twice: a doubt is as good as a failure."""
        with harmless_twice():
            return await self.post(path, body)

    async def get(self, path: str, **query: str) -> Json:
        with harmless_twice():
            return await self._call("GET", path, params=query)

    async def upload(self, number_id: str, upload: Upload, data: bytes) -> str:
        """Meta's handle of the file, for messages of this number. Nobody sees it yet, so it may be tried again."""
        form = {**FOR_WHATSAPP, "type": upload.mime}
        with harmless_twice(), refusing(upload.mime):
            answer = await self._call(
                "POST",
                f"{number_id}/media",
                data=form,
                files={"file": (upload.name, data, upload.mime)},
                timeout=httpx.Timeout(FILE_TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
            )
        handle = words(answer, "id")
        if handle is None:
            raise Unavailable("WhatsApp took the file and did not say under which id.")
        return handle

    async def _call(self, method: str, path: str, **more: Any) -> Json:
        headers = {**self._authorization, **more.pop("headers", {})}
        limits = more.pop("timeout", httpx.Timeout(TIMEOUT_S, connect=CONNECT_TIMEOUT_S))
        try:
            async with self._http.stream(method, self._url(path), headers=headers, timeout=limits, **more) as answer:
                said = await whole(answer)
        except NEVER_LEFT:
            raise Unavailable("WhatsApp cannot be reached; nothing was sent.") from None
        except httpx.HTTPError as error:
            raise Uncertain(f"The exchange with WhatsApp broke off ({type(error).__name__}); see the chat.") from None
        return read_answer(answer, said)

    # Files

    async def download(self, url: str, into: Sink, *, sha256: str | None, size: float | None) -> None:
        """Hand the file over piece by piece, and see that it is whole. Raises a `SendError`."""
        digest, came = hashlib.sha256(), 0
        try:
            async with self._following(url) as answer:
                async for piece in answer.aiter_bytes(PIECE_BYTES):
                    digest.update(piece)
                    came += len(piece)
                    await into(piece)
        except httpx.HTTPError as error:
            raise Unavailable(f"The file did not come whole from WhatsApp ({type(error).__name__}).") from None
        if size is not None and came != size:
            raise Unavailable(f"Of the file's {size:.0f} bytes {came} came.")
        if sha256 is not None and sha256 not in (digest.hexdigest(), base64.b64encode(digest.digest()).decode()):
            raise Unavailable("The file that came is not the one that WhatsApp announced.")

    @contextlib.asynccontextmanager
    async def _following(self, url: str) -> AsyncIterator[httpx.Response]:
        limits = httpx.Timeout(FILE_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
        for _ in range(REDIRECTS_MAX):
            if not self._keeps_files(url):
                raise Rejected("WhatsApp names an address outside of Meta's for the file; it is not fetched.")
            async with self._http.stream("GET", url, headers=self._authorization, timeout=limits) as answer:
                if answer.is_success:
                    yield answer
                    return
                if not answer.has_redirect_location:
                    raise file_refusal(answer.status_code)
                url = urljoin(url, answer.headers["location"])
        raise Unavailable("The file's address leads around in a circle.")

    def _keeps_files(self, url: str) -> bool:
        try:
            parts, ours = urlsplit(url), urlsplit(self._base)
            if (parts.scheme, parts.netloc) == (ours.scheme, ours.netloc):
                return True
            host = parts.hostname or ""
        except ValueError:
            return False
        return parts.scheme == "https" and any(host == known or host.endswith(f".{known}") for known in FILE_HOSTS)


AGENT: Final = "Shopbell"  # Meta has refused files to the names of common libraries
FOR_WHATSAPP: Final = {"messaging_product": "whatsapp"}


@contextlib.contextmanager
def harmless_twice() -> Iterator[None]:
    try:
        yield
    except Uncertain as error:
        raise Unavailable(error.detail) from None


@contextlib.contextmanager
def refusing(mime: str) -> Iterator[None]:
    """An upload that is refused is refused for its type: Meta's list is short."""
    try:
        yield
    except Rejected as error:
        raise Rejected(f"WhatsApp takes PDF, Office and text files, JPEG, PNG, MP4 and sound, not {mime}.") from error


async def whole(answer: httpx.Response) -> bytes:
    body = bytearray()
    async for piece in answer.aiter_bytes():
        body += piece
        if len(body) > ANSWER_MAX_BYTES:
            raise Uncertain("WhatsApp's answer has no end.")
    return bytes(body)


def read_answer(answer: httpx.Response, body: bytes) -> Json:
    """The JSON of a yes. Raises what a no means."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        said = None
    if answer.is_success and isinstance(said, dict) and "error" not in said:
        return said
    if answer.is_success and not error_in(said):
        raise Uncertain(UNCLEAR)
    wait_s = number(answer.headers, "retry-after")
    raise meaning_of(error_in(said), status=answer.status_code, retry_after_s=max(wait_s, 0) if wait_s else None)


def file_refusal(status: int) -> SendError:
    """The address is good for minutes; whether the file is gone is said where it is asked for."""
    return Unavailable(f"WhatsApp did not hand the file over ({status}).")
