"""An answer does not wait for the other side's delayed acknowledgement."""

import socket

from services.launch import listen_on
from shared.settings import Settings


def test_the_listening_socket_names_its_protocol() -> None:
    """Or asyncio leaves Nagle's algorithm on for its connections: 40 ms for each answer on a kept connection."""
    with listen_on(Settings(port=0)) as listener:
        assert listener.proto == socket.IPPROTO_TCP
