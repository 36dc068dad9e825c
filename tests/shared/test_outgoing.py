"""Whatever address a shop names, nothing of ours or of our neighbours is reached by it."""

import asyncio
import socket
from collections.abc import AsyncIterator

import httpx
import pytest

from shared.outgoing import is_public, outgoing_http

PRIVATE = ["127.0.0.1", "127.1.2.3", "0.0.0.0", "10.0.0.1", "172.16.5.4", "192.168.1.1", "169.254.169.254"]
PRIVATE += ["100.64.0.1", "224.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1", "::1", "::", "fe80::1", "fc00::1"]
PRIVATE += ["fe80::1%eth0", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "ff02::1"]
PUBLIC = ["1.1.1.1", "149.154.167.220", "2606:4700:4700::1111", "::ffff:1.1.1.1"]


@pytest.mark.parametrize("address", PRIVATE)
def test_what_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_what_is_public(address: str) -> None:
    assert is_public(address)


@pytest.fixture
async def listener() -> AsyncIterator[tuple[int, list[bytes]]]:
    """(port, what was heard) of a server on this machine that answers everything."""
    heard: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/secret\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], heard


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "127.1",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
        "[::1]",
    ],
)
async def test_this_machine_is_never_reached_however_it_is_spelled(
    listener: tuple[int, list[bytes]], host: str
) -> None:
    port, heard = listener
    async with outgoing_http() as http:
        with pytest.raises((httpx.ConnectError, httpx.InvalidURL)):
            await http.get(f"http://{host}:{port}/")
    assert heard == []


async def test_a_name_that_also_leads_here_is_refused(
    listener: tuple[int, list[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a server of the attacker's would answer: one public address to look good, one of ours to get in."""
    port, heard = listener
    answers = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, port)) for ip in ("1.1.1.1", "127.0.0.1")]

    async def lie(*_: object, **__: object) -> list[object]:
        return list(answers)

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", lie, raising=False)
    async with outgoing_http() as http:
        with pytest.raises(httpx.ConnectError):
            await http.get(f"http://friendly.example:{port}/")
    assert heard == []


async def test_the_operator_may_allow_it_and_redirects_are_not_followed(listener: tuple[int, list[bytes]]) -> None:
    port, heard = listener
    async with outgoing_http(private=True) as http:
        answer = await http.get(f"http://127.0.0.1:{port}/")
    assert (answer.status_code, len(heard)) == (302, 1)
