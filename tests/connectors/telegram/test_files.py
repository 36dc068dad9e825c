"""Files that customers send: fetched piece by piece, and what cannot be fetched is said in words."""

from pathlib import Path

import pytest

from connectors.telegram.inbound import parse_payload
from connectors.telegram.simulator import TelegramSimulator
from shared.connector import Fetched
from shared.content import Media
from shared.errors import Rejected, SendError, Unavailable, Uncertain
from shared.events import MessageReceived
from shared.simulator import Fault
from tests.connectors.telegram.given import ANN, BOT, TOKEN, connect, telegram_config, telegram_simulator


@pytest.fixture
def server() -> TelegramSimulator:
    return telegram_simulator()


def sent_media(server: TelegramSimulator) -> Media:
    (event,) = parse_payload(server.hook(server.waiting[-1:]).body, account=BOT)
    assert isinstance(event, MessageReceived)
    assert isinstance(event.content, Media)
    return event.content


async def fetch(server: TelegramSimulator, media: Media) -> tuple[bytes, Fetched]:
    pieces: list[bytes] = []

    async def keep(piece: bytes, /) -> None:
        pieces.append(piece)

    fetched = await connect(server).fetch_media(media, keep)
    return b"".join(pieces), fetched


async def test_a_file_comes_whole_with_the_name_and_kind_that_the_message_told(server: TelegramSimulator) -> None:
    data = bytes(range(256)) * 1000
    server.customer(ANN).sends_file("document", data, file_name="bill.pdf", mime_type="application/pdf")
    assert await fetch(server, sent_media(server)) == (data, Fetched("application/pdf", "bill.pdf"))


@pytest.mark.parametrize("kind", ["photo", "voice", "video", "video_note", "audio", "sticker"])
async def test_every_kind_of_file_can_be_fetched(server: TelegramSimulator, kind: str) -> None:
    server.customer(ANN).sends_file(kind, b"bytes")
    data, fetched = await fetch(server, sent_media(server))
    assert data == b"bytes"
    assert fetched.mime is not None
    assert fetched.name == "file-1.bin"


async def test_a_file_that_is_too_big_for_bots_is_refused_in_words_without_asking(server: TelegramSimulator) -> None:
    with pytest.raises(Rejected, match="25 MB"):
        await fetch(server, Media(media="video", source="F", size=25_000_000))
    assert not server.ledger


async def test_a_file_whose_size_was_not_told_is_refused_by_telegram(server: TelegramSimulator) -> None:
    handle = server.keep(b"x" * 20_000_001)
    with pytest.raises(Rejected, match="20 MB"):
        await fetch(server, Media(media="video", source=handle))


async def test_a_file_that_is_gone_is_said(server: TelegramSimulator) -> None:
    with pytest.raises(Rejected):
        await fetch(server, Media(media="file", source="unknown"))
    with pytest.raises(Rejected, match="handle"):
        await fetch(server, Media(media="file"))


@pytest.mark.parametrize("fault", [fault for fault in Fault if fault not in (Fault.OK, Fault.SLOW)])
async def test_a_file_that_does_not_come_has_an_error_that_knows_its_fate(
    server: TelegramSimulator, fault: Fault
) -> None:
    handle = server.keep(b"some bytes")
    server.script([Fault.OK, fault])
    with pytest.raises(SendError) as caught:
        await fetch(server, Media(media="file", source=handle))
    assert "canary" not in f"{caught.value!s} {caught.value!r}"


async def test_a_sink_that_is_full_ends_the_fetching(server: TelegramSimulator) -> None:
    async def full(piece: bytes, /) -> None:
        raise Rejected("too large")

    with pytest.raises(Rejected, match="too large"):
        await connect(server).fetch_media(Media(media="file", source=server.keep(b"x" * 200_000)), full)


class Local(TelegramSimulator):
    """Runs on this machine and names a path of it."""

    def __init__(self, path: Path) -> None:
        super().__init__(token=TOKEN)
        self.path = path

    async def get_file(self, form: object) -> dict[str, str]:  # type: ignore[override]
        return {"file_id": "F", "file_unique_id": "F", "file_path": str(self.path)}


async def fetch_here(server: Local) -> tuple[bytes, Fetched]:
    pieces: list[bytes] = []

    async def keep(piece: bytes, /) -> None:
        pieces.append(piece)

    config = telegram_config(local=True, api_url="http://127.0.0.1:8081")
    fetched = await connect(server, config=config).fetch_media(Media(media="video", source="F", size=30_000_000), keep)
    return b"".join(pieces), fetched


async def test_a_local_server_hands_over_a_file_of_this_machine(tmp_path: Path) -> None:
    path = tmp_path / TOKEN / "videos" / "video.mp4"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x" * 100_000)
    data, fetched = await fetch_here(Local(path))
    assert (data, fetched.name) == (b"x" * 100_000, "video.mp4")
    path.unlink()
    with pytest.raises(Unavailable):
        await fetch_here(Local(path))


async def test_a_local_server_cannot_hand_over_what_is_not_the_bots(tmp_path: Path) -> None:
    secret = tmp_path / "secret.key"
    secret.write_bytes(b"the master key")
    folder = tmp_path / TOKEN
    folder.mkdir()
    (folder / "link").symlink_to(secret)
    for path in (secret, folder / ".." / "secret.key", folder / "link"):
        with pytest.raises(Rejected, match="outside"):
            await fetch_here(Local(path))


async def test_an_exchange_that_breaks_off_in_the_file_is_told(server: TelegramSimulator) -> None:
    server.script([Fault.OK, Fault.TAKEN_THEN_RESET])
    with pytest.raises((Uncertain, Unavailable)):
        await fetch(server, Media(media="file", source=server.keep(b"bytes")))
