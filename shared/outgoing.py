"""The way out: an HTTP client that reaches the public internet and, unless the operator allows it, nothing else.

Shops name addresses (a provider's server of their own, links to files), and whoever can name an address could otherwise
make us speak to this machine or its neighbours. A name is resolved once and the connection goes to the very address
that was checked, so that it cannot be changed in between. Redirects are not followed: each connector decides.
"""

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import httpcore
import httpx

TIMEOUT: Final = httpx.Timeout(15, connect=5)


class PrivateAddress(httpcore.ConnectError):
    """The address is not one of the public internet."""


def is_public(text: str) -> bool:
    """Whether an IP address belongs to the public internet. An IPv4 address inside an IPv6 one counts as itself."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if inner is None and address in NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
    return address.is_global and not address.is_multicast


NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")


async def resolve(host: str, port: int) -> Sequence[str]:
    """The addresses of a host, in the order of preference; raises `httpcore.ConnectError`."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise httpcore.ConnectError(f"The host cannot be found ({error.strerror}).") from None
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class PublicOnly(httpcore.AsyncNetworkBackend):
    """Connects to public addresses."""

    def __init__(self) -> None:
        self._below = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        addresses = await resolve(host, port)
        if not addresses or not all(map(is_public, addresses)):
            raise PrivateAddress("The address is not one of the public internet; the operator would have to allow it.")
        error: Exception | None = None
        for address in addresses:
            try:
                return await self._below.connect_tcp(
                    address, port, timeout=timeout, local_address=local_address, socket_options=socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as failed:
                error = failed
        assert error is not None
        raise error

    async def connect_unix_socket(self, *_: Any, **__: Any) -> httpcore.AsyncNetworkStream:
        raise PrivateAddress("A socket of this machine is not the public internet.")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def outgoing_http(*, private: bool = False) -> httpx.AsyncClient:
    """The client for whatever goes out. `private`: the operator allows addresses of this machine and its networks."""
    transport = httpx.AsyncHTTPTransport(trust_env=False)
    if not private:
        # httpx has no argument for it, httpcore below has.
        transport._pool._network_backend = PublicOnly()
    return httpx.AsyncClient(transport=transport, timeout=TIMEOUT, trust_env=False, follow_redirects=False)


def outgoing_socket(*, private: bool = False) -> Callable[[str, int, float], socket.socket]:
    """The way to servers of mail and the like, under the same rule. It waits: not for the event loop."""

    def dial(host: str, port: int, timeout_s: float, /) -> socket.socket:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(str(address[0]) for *_, address in found))
        if not private and not all(map(is_public, addresses)):
            raise OSError("The address is not one of the public internet; the operator would have to allow it.")
        for address in addresses[:-1]:
            with contextlib.suppress(OSError):
                return socket.create_connection((address, port), timeout_s)
        return socket.create_connection((addresses[-1], port), timeout_s)

    return dial
