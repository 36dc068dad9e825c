"""The type checker knows what travels where: each ignored line below is an error that mypy must find.

mypy runs over the tests and refuses an ignore that is not needed, so a bus that forgets its types fails the check.
"""

from typing import assert_type

from shared.bus import Bus, LocalBus
from shared.subjects import (
    CHANNEL,
    FEED_GREW,
    INBOUND,
    ChannelAnswer,
    ChannelQuestion,
    FeedGrew,
    InboundBatch,
    OutboxFilled,
    outbound,
    reparse,
)


async def take_batch(batch: InboundBatch) -> None: ...


async def answer_channel(question: ChannelQuestion) -> ChannelAnswer:
    return ChannelAnswer(channel=None)


def hear_growth(grown: FeedGrew) -> None: ...


async def test_each_subject_carries_its_own_type() -> None:
    bus: Bus = LocalBus()
    batch = InboundBatch(channel_id="chn_1", events=())
    question = ChannelQuestion(channel_type="parrot", channel_id="chn_1")

    bus.consume(INBOUND, take_batch)
    bus.consume(outbound("parrot"), take_batch)  # type: ignore[arg-type]
    await bus.publish(INBOUND, batch)
    await bus.publish(INBOUND, question)  # type: ignore[misc]

    bus.serve(CHANNEL, answer_channel)
    bus.serve(reparse("parrot"), answer_channel)  # type: ignore[arg-type]
    assert_type(await bus.request(CHANNEL, question), ChannelAnswer)
    await bus.request(CHANNEL, batch)  # type: ignore[misc]

    bus.listen(FEED_GREW, hear_growth)
    bus.listen(FEED_GREW, take_batch)()  # type: ignore[arg-type]
    bus.signal(FEED_GREW, OutboxFilled())  # type: ignore[misc]


def test_a_subject_of_a_type_is_one_and_the_same() -> None:
    assert outbound("parrot") is outbound("parrot")
    assert outbound("parrot") != outbound("budgie")
    assert reparse("parrot").name != outbound("parrot").name
