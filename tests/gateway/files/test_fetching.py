"""Files that customers send: the message is there at once, the file when it has been fetched, or the reason why not."""

from datetime import UTC, datetime

import httpx
from shopbell_client import Message
from shopbell_client.content import Media as Shown

from shared.content import Content, Media
from shared.errors import Rejected, Unavailable
from shared.events import MessageEdited, MessageReceived
from tests.support.customer import Customer, fresh
from tests.support.eventually import eventually
from tests.support.tables import execute, query
from tests.support.wordy import MAX_BYTES, Wordings

PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 500


def picture(source: str, **more: object) -> Media:
    return Media.model_validate({"media": "image", "source": source, "mime": "image/png", **more})


def message(customer: Customer, content: Content, external_id: str | None = None) -> MessageReceived:
    return MessageReceived(
        address=customer.address,
        occurred_at=datetime.now(UTC),
        raw=b"{}",
        external_id=external_id or fresh("pic"),
        content=content,
    )


async def last(customer: Customer) -> Message:
    conversation = await customer.conversation()
    return (await customer.shop.client.messages.list(conversation.id, limit=1)).items[-1]


def shown(message: Message) -> Shown:
    assert isinstance(message.content, Shown)
    return message.content


async def settled(customer: Customer) -> Shown:
    return shown(await eventually(lambda: last(customer), lambda m: bool(shown(m).url or shown(m).failure)))


async def hurry(customer: Customer) -> None:
    await execute(customer.running, "UPDATE outbox SET available_at = now() WHERE shop_id = :id", id=customer.shop.uuid)
    customer.running.gateway.fetcher._awake.set()


async def test_a_picture_is_fetched_after_its_message_has_landed(
    customer: Customer, provider: Wordings, http: httpx.AsyncClient
) -> None:
    provider.files["f1"] = PNG
    await customer.tell(message(customer, picture("f1", caption="This one")))
    content = await settled(customer)
    assert (content.caption, content.mime, content.size) == ("This one", "image/png", len(PNG))
    assert content.url is not None
    answer = await http.get(customer.shop.url + httpx.URL(content.url).raw_path.decode())
    assert answer.content == PNG
    page = await customer.shop.client.events_page()
    told = [event for event in page.items if event.type in ("message.received", "message.media")]
    assert [event.type for event in told] == ["message.received", "message.media"]
    first, second = (shown(event.data) for event in told)  # type: ignore[arg-type]
    assert (first.url, first.attachment) == (None, second.attachment)
    assert second.url is not None
    assert "source" not in str(told[0].model_dump()) or told[0].model_dump()["data"]["content"].get("source") is None


async def test_the_text_does_not_wait_for_a_file_that_does_not_come(customer: Customer, provider: Wordings) -> None:
    provider.refusals.extend(Unavailable("not now") for _ in range(3))
    provider.files["f1"] = PNG
    await customer.tell(message(customer, picture("f1")))
    assert shown(await last(customer)).url is None
    await customer.writes("Did you get it?")
    while provider.refusals:
        left = len(provider.refusals)
        await eventually(lambda: refused(provider), lambda now: now < left)  # noqa: B023 - awaited at once
        await hurry(customer)
    conversation = await customer.conversation()

    async def first() -> Message:
        return (await customer.shop.client.messages.list(conversation.id)).items[0]

    assert shown(await eventually(first, lambda m: shown(m).url is not None)).failure is None


async def refused(provider: Wordings) -> int:
    return len(provider.refusals)


async def test_a_file_that_will_never_come_says_why(customer: Customer) -> None:
    await customer.tell(message(customer, picture("gone")))
    content = await settled(customer)
    assert content.url is None
    assert content.failure == "The file could not be had: The provider has no such file."
    assert content.attachment is not None
    kept = await customer.shop.client.attachments.get(str(content.attachment))
    assert (kept.state, kept.url) == ("lost", None)


async def test_a_file_beyond_the_limit_is_not_kept(customer: Customer, provider: Wordings) -> None:
    provider.files["big"] = b"x" * (MAX_BYTES + 1)
    await customer.tell(message(customer, picture("big")))
    content = await settled(customer)
    assert content.failure is not None
    assert "larger" in content.failure
    folder = customer.running.core.settings.data_dir / "files"
    assert not any(path.name == content.attachment for path in folder.rglob("*"))


async def test_the_same_picture_again_is_nothing_new(customer: Customer, provider: Wordings) -> None:
    provider.files["f1"] = PNG
    same = message(customer, picture("f1"))
    await customer.tell(same, same)
    await settled(customer)
    await customer.tell(same)
    rows = await query(customer.running, "SELECT state FROM attachments WHERE shop_id = :id", id=customer.shop.uuid)
    assert [row.state for row in rows] == ["kept"]


async def test_an_edit_with_another_picture_fetches_that(customer: Customer, provider: Wordings) -> None:
    provider.files |= {"f1": PNG, "f2": PNG + b"2"}
    await customer.tell(message(customer, picture("f1"), "p1"))
    first = await settled(customer)
    edit = MessageEdited(
        address=customer.address, occurred_at=datetime.now(UTC), external_id="p1", content=picture("f2"), version="2"
    )
    await customer.tell(edit)
    after = await eventually(lambda: last(customer), lambda m: shown(m).size == len(PNG) + 1)
    assert shown(after).attachment != first.attachment
    assert shown(after).url is not None


async def test_a_file_is_not_fetched_for_a_command_that_was_given_up(customer: Customer, provider: Wordings) -> None:
    provider.refusals.append(Rejected("never"))
    await customer.tell(message(customer, picture("f1")))
    await settled(customer)
    rows = await query(customer.running, "SELECT 1 FROM outbox WHERE shop_id = :id", id=customer.shop.uuid)
    assert rows == []
