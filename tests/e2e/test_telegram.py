"""The main job in Telegram: a customer writes in their app, an agent answers, over real HTTP and a real database."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from shopbell_client import ShopbellError, ValidationFailed

from connectors.telegram.simulated_customer import Customer, Seen
from connectors.telegram.simulator import TelegramSimulator
from shared.simulator import serve
from tests.support.customer import fresh
from tests.support.eventually import eventually
from tests.support.line import Line, text_of
from tests.support.product import Running, Shop

Bot = Line[TelegramSimulator]


async def connected(shop: Shop, url: str, server: TelegramSimulator, token: str, **settings: str) -> Bot:
    channel = await shop.client.channels.create(
        type="telegram", name="Our bot", settings={"token": token, "api_url": url, **settings}
    )
    return Bot(shop, channel.id, server, url)


@pytest.fixture
async def bot(shop: Shop) -> AsyncIterator[Bot]:
    token = f"{abs(hash(fresh('bot'))) % 10**9}:canary-telegram"
    server = TelegramSimulator(token=token)
    async with serve(server) as url:
        bot = await connected(shop, url, server, token)
        yield bot
        with contextlib.suppress(ShopbellError):
            await shop.client.channels.delete(bot.channel)


async def sees(customer: Customer, count: int) -> list[Seen]:
    async def look() -> list[Seen]:
        return customer.sees

    return await eventually(look, lambda seen: len(seen) >= count)


async def test_a_customer_writes_an_agent_answers_and_ticks_are_honest(bot: Bot) -> None:
    ann = bot.server.customer(11, name="Ann")
    ann.starts()
    ann.writes("Is the red one in stock?")
    (question,) = await bot.until_said(1)
    assert (question.author.name, text_of(question)) == ("Ann", "Is the red one in stock?")
    answer = await bot.answer("It is.")
    (seen,) = await sees(ann, 1)
    assert seen.text == "It is."
    assert (await bot.until(answer, "sent")).status_evidence == "provider_accept"
    (conversation,) = (await bot.shop.client.conversations.list()).items
    told = await bot.shop.client.conversations.read(conversation.id, up_to=question.id)
    assert (told.told_customer, told.reason) == (False, "This channel cannot tell a customer that we read.")
    assert (await bot.shop.client.channels.check(bot.channel)).problems == ()


async def test_what_people_do_in_telegram_arrives(bot: Bot, http: httpx.AsyncClient) -> None:
    ann = bot.server.customer(12)
    first = ann.writes("Is the red one in stock?")
    ann.edits(first, "Is the blue one in stock?")
    ann.sends_album(b"one", b"two", caption="These")
    ann.sends_file("voice", b"OggS", mime_type="audio/ogg")
    said = await bot.until_said(4)

    async def settled() -> list[Any]:
        return [message.content for message in await bot.messages()]

    contents = await eventually(settled, lambda all: all[0].text.startswith("Is the blue") and all[3].url)
    assert [getattr(content, "album", None) for content in contents[1:3]] == [contents[1].album] * 2
    assert contents[1].album
    assert (contents[1].caption, contents[3].media, contents[3].mime) == ("These", "voice", "audio/ogg")
    assert (await http.get(bot.shop.url + httpx.URL(contents[3].url).path)).content == b"OggS"
    assert said[0].edited_at is not None or (await bot.messages())[0].edited_at is not None


async def test_what_agents_do_is_seen_in_telegram(bot: Bot) -> None:
    ann = bot.server.customer(13)
    ann.writes("Which are there?")
    (question,) = await bot.until_said(1)
    await bot.answer(
        content={"kind": "text", "text": "Red & blue", "html": "<b>Red</b> &amp; <i>blue</i>"}, reply_to=question.id
    )
    await bot.answer(content={"kind": "buttons", "text": "Which?", "options": [{"id": "r", "label": "Red"}]})
    file = await bot.shop.client.attachments.create(b"PDF", name="prices.pdf", mime="application/pdf")
    await bot.answer(content={"kind": "media", "media": "file", "attachment": file.id, "caption": "Prices"})
    text, buttons, sent = await sees(ann, 3)
    assert (text.text, {entity["type"] for entity in text.entities}) == ("Red & blue", {"bold", "italic"})
    assert text.reply_to is not None
    assert (sent.file, sent.name, sent.text) == (b"PDF", "prices.pdf", "Prices")
    assert buttons.buttons == [("Red", "r")]
    press = ann.presses("Red")
    said = await bot.until_said(5)
    assert (said[-1].content.kind, said[-1].content.id) == ("choice", "r")  # type: ignore[union-attr]

    async def stopped() -> list[str]:
        return bot.server.answered

    await eventually(stopped, lambda answered: press in answered)


async def test_a_customer_who_blocks_the_bot_cannot_be_answered_until_they_come_back(bot: Bot) -> None:
    ann = bot.server.customer(14)
    ann.writes("Hello?")
    await bot.until_said(1)
    ann.blocks()

    async def refused() -> str | None:
        try:
            await bot.answer("Hello!")
        except ValidationFailed as error:
            return error.code
        return None

    assert await eventually(refused) == "unsupported"
    ann.unblocks()
    ann.writes("I am back")
    await eventually(bot.messages, lambda said: text_of(said[-1]) == "I am back")
    await bot.until(await bot.answer("Welcome back"), "sent")


async def test_a_deep_link_carries_the_conversation_over(bot: Bot) -> None:
    contact = await bot.shop.client.contacts.create(name="Ann of the web")
    code = await bot.shop.client.contacts.code(contact.id)
    ann = bot.server.customer(15, started=False)
    ann.starts(code.code)
    ann.writes("It is me")
    await bot.until_said(1)
    (conversation,) = (await bot.shop.client.conversations.list()).items
    assert conversation.contact.id == contact.id


async def test_a_bot_that_was_away_gets_everything_once_and_in_order(bot: Bot) -> None:
    await bot.shop.client.channels.update(bot.channel, state="paused")
    ann = bot.server.customer(16)
    for number in range(120):
        ann.writes(f"line {number}")
    await bot.shop.client.channels.update(bot.channel, state="active")
    said = await eventually(bot.messages, lambda said: len(said) >= 120)
    assert [text_of(message) for message in said] == [f"line {number}" for number in range(120)]
    assert bot.server.waiting == []


async def test_a_revoked_token_pauses_the_channel_and_says_so(shop: Shop) -> None:
    server = TelegramSimulator(token="123456:right")
    async with serve(server) as url:
        bot = await connected(shop, url, server, "123456:wrong")

        async def state() -> Any:
            return await shop.client.channels.get(bot.channel)

        await eventually(state, lambda channel: channel.state == "paused")
        (problem,) = (await shop.client.channels.check(bot.channel)).problems
        assert "wrong" not in problem


async def test_by_webhook_the_same_holds_and_nobody_else_may_speak(
    running: Running, shop: Shop, http: httpx.AsyncClient
) -> None:
    token, secret = "654321:canary-telegram", "canary-webhook-secret-000"
    server = TelegramSimulator(token=token, webhook_secret=secret)
    async with serve(server) as url:
        bot = await connected(shop, url, server, token, mode="webhook", webhook_secret=secret)
        hook = f"{shop.url}/hooks/telegram/{bot.channel}"
        server.webhook = {"url": hook, "secret_token": secret}
        ann = server.customer(17)
        for number in range(5):
            ann.writes(f"line {number}")
        await server.tell(http)
        said = await bot.until_said(5)
        assert [text_of(message) for message in said] == [f"line {number}" for number in range(5)]
        answer = await http.post(hook, json={"update_id": 1}, headers={"X-Telegram-Bot-Api-Secret-Token": "guess"})
        assert answer.status_code == 401
        await shop.client.channels.delete(bot.channel)
