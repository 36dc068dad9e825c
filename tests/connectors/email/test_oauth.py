"""Access tokens in place of a password: asked for, kept, renewed, and shown to both servers."""

import base64
import socket
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
from aiosmtpd.smtp import SMTP, AuthResult
from pydantic import SecretStr

from connectors.email.mailbox import Mailbox
from connectors.email.oauth import Tokens
from shared.errors import AuthExpired, Unavailable
from shared.outgoing import outgoing_socket
from tests.connectors.email.given import MAILBOX, Given, reply, settings
from tests.connectors.email.sink import Sink, running_sink

REFRESH = "canary-refresh-token-1"


def oauth(**more: Any) -> Any:
    return settings(
        password=None,
        oauth_token_url="https://login.example.com/token",
        oauth_client_id="client",
        oauth_client_secret=SecretStr("canary-client-secret"),
        oauth_refresh_token=SecretStr(REFRESH),
        oauth_scope="mail",
        **more,
    )


def provider(answer: Callable[[dict[str, str]], httpx.Response]) -> httpx.AsyncClient:
    def handle(request: httpx.Request) -> httpx.Response:
        return answer({name: values[0] for name, values in parse_qs(request.content.decode()).items()})

    return httpx.AsyncClient(transport=httpx.MockTransport(handle))


class Provider:
    """Counts its tokens, and hands out another refresh token each time."""

    def __init__(self) -> None:
        self.asked: list[dict[str, str]] = []

    def __call__(self, form: dict[str, str]) -> httpx.Response:
        self.asked.append(form)
        number = len(self.asked)
        told = {"access_token": f"access-{number}", "expires_in": 3600, "refresh_token": f"refresh-{number}"}
        return httpx.Response(200, json=told)


async def test_a_token_is_asked_for_once_and_renewed_when_it_was_refused() -> None:
    asked = Provider()
    tokens = Tokens(oauth(), provider(asked))
    assert [await tokens.access_token() for _ in range(3)] == ["access-1"] * 3
    assert await tokens.access_token(renew=True) == "access-2"
    assert [form["refresh_token"] for form in asked.asked] == [REFRESH, "refresh-1"]
    assert asked.asked[0]["grant_type"] == "refresh_token"
    assert (asked.asked[0]["client_id"], asked.asked[0]["scope"]) == ("client", "mail")


async def test_a_token_that_is_about_to_run_out_is_not_used() -> None:
    short = {"access_token": "short", "expires_in": 60}
    answers = iter([httpx.Response(200, json=short), httpx.Response(200, json=short | {"access_token": "new"})])
    tokens = Tokens(oauth(), provider(lambda _: next(answers)))
    assert [await tokens.access_token(), await tokens.access_token()] == ["short", "new"]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (httpx.Response(400, json={"error": "invalid_grant"}), AuthExpired),
        (httpx.Response(401, json={"error": "invalid_client"}), AuthExpired),
        (httpx.Response(400, json={"error": "temporarily_unavailable"}), Unavailable),
        (httpx.Response(503, json={}), Unavailable),
        (httpx.Response(200, text="<html>"), Unavailable),
        (httpx.Response(200, json={"token": "?"}), Unavailable),
    ],
)
async def test_a_refusal_is_for_a_person_and_a_fault_for_later(answer: httpx.Response, kind: type[Exception]) -> None:
    with pytest.raises(kind) as caught:
        await Tokens(oauth(), provider(lambda _: answer)).access_token()
    assert REFRESH not in str(caught.value)


async def test_the_newest_refresh_token_is_kept_sealed_and_used_by_the_next_reader() -> None:
    asked = Provider()
    first = Given(oauth(), http=provider(asked))
    await first._log_in_to_read()
    assert "refresh-1" not in str(first.place.place)
    second = Given(oauth(), http=provider(asked))
    second.place.place = first.place.place
    await second._log_in_to_read()
    assert [form["refresh_token"] for form in asked.asked] == [REFRESH, "refresh-1"]


class TokenSink(Sink):
    """Takes a token of Google's kind."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens: list[str] = []

    async def auth_XOAUTH2(self, server: SMTP, words: list[str]) -> AuthResult:  # noqa: N802 - named by aiosmtpd
        self.tokens.append(base64.b64decode(words[1]).decode())
        return AuthResult(success=True)


async def test_smtp_is_shown_the_token() -> None:
    with running_sink(sink=TokenSink()) as sink:
        given = Given(oauth(smtp_port=sink.port), http=provider(Provider()))
        await given.send(reply("It is."))
        await given.close()
        assert isinstance(sink, TokenSink)
        assert sink.tokens == [f"user={MAILBOX}\x01auth=Bearer access-1\x01\x01"]
        assert len(sink.taken) == 1


def imap_server(answers: Callable[[str], list[str]]) -> int:
    """An IMAP server for one session: what it says to each line. Its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with listener, listener.accept()[0] as session, session.makefile("rwb") as stream:
            stream.write(b"* OK hello\r\n")
            stream.flush()
            while line := stream.readline():
                stream.write("".join(f"{one}\r\n" for one in answers(line.decode().strip())).encode())
                stream.flush()

    threading.Thread(target=serve, daemon=True).start()
    return int(listener.getsockname()[1])


@pytest.mark.parametrize("good", [True, False])
def test_imap_is_shown_the_token_and_may_refuse_it(good: bool) -> None:
    shown: list[str] = []
    tag = ""

    def answers(line: str) -> list[str]:
        nonlocal tag
        if "CAPABILITY" in line:
            return ["* CAPABILITY IMAP4rev1 AUTH=XOAUTH2", f"{line.split()[0]} OK done"]
        if "AUTHENTICATE" in line:
            tag = line.split()[0]
            return ["+ "]
        if (line and line[0].isalnum() and line.endswith("=")) or len(line) > 40:
            shown.append(base64.b64decode(line).decode())
            return [f"{tag} OK done"] if good else ["+ eyJzdGF0dXMiOiI0MDAifQ=="]
        return [
            f"{line.split()[0] if line else tag} "
            + ("OK done" if good else "NO [AUTHENTICATIONFAILED] Invalid credentials")
        ]

    config = oauth(imap_host="127.0.0.1", imap_port=imap_server(answers), imap_security="none")
    mailbox = Mailbox(config, outgoing_socket(private=True))
    if good:
        mailbox.open(None, "access-1")
    else:
        with pytest.raises(AuthExpired, match="Invalid credentials"):
            mailbox.open(None, "access-1")
    mailbox.close()
    assert shown[0] == f"user={MAILBOX}\x01auth=Bearer access-1\x01\x01"
