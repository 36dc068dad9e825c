"""The suites can fail: each of these connectors breaks one promise, and the test that guards it says so."""

import contextlib
import inspect
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, ClassVar, Final
from uuid import uuid4

import httpx
import pytest
import structlog
from pydantic import Field

from shared.capabilities import Level, MediaRule, Receipts
from shared.commands import DeleteMessage, MarkRead, SendMessage, Sent
from shared.connector import ChannelType, Connector, Health, Hook
from shared.errors import BadSignature, Ignored, Malformed, Rejected, Throttled, Unavailable, Uncertain
from shared.events import InboundEvent, MessageReceived, ReceiptReported
from shared.simulator import Fault
from tests.contract import test_connectors as suite
from tests.contract.parrot import ParrotConnector
from tests.contract.parrot.capabilities import CAPABILITIES
from tests.contract.parrot.config import ParrotConfig
from tests.contract.parrot.connector import SIGNATURE, sign
from tests.contract.parrot.outbound import Body
from tests.contract.registry import PARROT, TOKEN, ConnectorCase


def declaring(**changes: object) -> ChannelType:
    return replace(ParrotConnector.channel_type, capabilities=CAPABILITIES.model_copy(update=changes))


class ParsesFirst(ParrotConnector):
    def receive(self, hook: Hook) -> Sequence[InboundEvent]:  # type: ignore[misc]
        events = self.parse(hook)
        self.verify(hook)
        return events


class ParsesToVerify(ParrotConnector):
    def verify(self, hook: Hook) -> None:
        self.parse(hook)
        super().verify(hook)


class ReadsToVerify(ParrotConnector):
    def verify(self, hook: Hook) -> None:
        json.loads(hook.body)
        super().verify(hook)


class TrustsEveryone(ParrotConnector):
    def verify(self, hook: Hook) -> None:
        pass


class TrustsTheSilent(ParrotConnector):
    def verify(self, hook: Hook) -> None:
        if SIGNATURE in hook.headers:
            super().verify(hook)


class ComparesTheBeginning(ParrotConnector):
    def verify(self, hook: Hook) -> None:
        if not sign(self.config.signing_secret.get_secret_value(), hook.body).startswith(hook.headers[SIGNATURE]):
            raise BadSignature


class TrustsAnUnsetSecret(ParrotConnector):
    def verify(self, hook: Hook) -> None:
        if self.config.signing_secret.get_secret_value():
            super().verify(hook)


class TellsTheRightSignature(ParrotConnector):
    def verify(self, hook: Hook) -> None:
        with contextlib.suppress(BadSignature):
            return super().verify(hook)
        raise BadSignature(f"wanted {sign(self.config.signing_secret.get_secret_value(), hook.body)}")


class ShrugsAtGarbage(ParrotConnector):
    def parse(self, hook: Hook) -> Sequence[InboundEvent]:
        try:
            return super().parse(hook)
        except Malformed as error:
            raise Ignored from error


class TripsOverSurprises(ParrotConnector):
    def parse(self, hook: Hook) -> Sequence[InboundEvent]:
        with contextlib.suppress(ValueError, RecursionError):
            json.loads(hook.body).get("account")
        return super().parse(hook)


class QuotesTheCustomer(ParrotConnector):
    def parse(self, hook: Hook) -> Sequence[InboundEvent]:
        try:
            return super().parse(hook)
        except Malformed:
            raise Malformed(f"cannot read {hook.body!r}") from None


class Rewrites(ParrotConnector):
    """Parses well and then changes each message."""

    def parse(self, hook: Hook) -> Sequence[InboundEvent]:
        return [
            self.rewrite(event, place) if isinstance(event, MessageReceived) else event
            for place, event in enumerate(super().parse(hook))
        ]

    def rewrite(self, event: MessageReceived, place: int) -> MessageReceived:
        raise NotImplementedError


class InventsIds(Rewrites):
    def rewrite(self, event: MessageReceived, place: int) -> MessageReceived:
        return event.model_copy(update={"external_id": uuid4().hex})


class StampsWithItsClock(Rewrites):
    def rewrite(self, event: MessageReceived, place: int) -> MessageReceived:
        return event.model_copy(update={"occurred_at": self.port.clock()})


class CountsInsideTheBatch(Rewrites):
    def rewrite(self, event: MessageReceived, place: int) -> MessageReceived:
        return event.model_copy(update={"external_id": str(place)})


class GivesOneIdToAll(Rewrites):
    def rewrite(self, event: MessageReceived, place: int) -> MessageReceived:
        return event.model_copy(update={"external_id": "the one"})


class ForgetsTheWords(Rewrites):
    def rewrite(self, event: MessageReceived, place: int) -> MessageReceived:
        return event.model_copy(update={"raw": b""})


class TellsTimeTooFinely(Rewrites):
    def rewrite(self, event: MessageReceived, place: int) -> MessageReceived:
        return event.model_copy(update={"occurred_at": event.occurred_at + timedelta(microseconds=1)})


class DropsReceipts(ParrotConnector):
    def parse(self, hook: Hook) -> Sequence[InboundEvent]:
        return [event for event in super().parse(hook) if not isinstance(event, ReceiptReported)]


class DeclaresDelete(ParrotConnector):
    channel_type = declaring(delete=Level.FULL)


class HidesDelete(ParrotConnector):
    async def delete(self, command: DeleteMessage) -> None:
        pass


class DeclaresReactions(ParrotConnector):
    channel_type = declaring(reaction=Level.FULL)


class HidesLocations(ParrotConnector):
    channel_type = declaring(location=Level.NONE)


class DeclaresVideos(ParrotConnector):
    channel_type = declaring(media={**CAPABILITIES.media, "video": MediaRule(level=Level.FULL)})


class HidesQuotes(ParrotConnector):
    channel_type = declaring(quote=Level.NONE)


class DeclaresButtonsInFull(ParrotConnector):
    channel_type = declaring(buttons=Level.FULL)


class DeclaresOtherReceipts(ParrotConnector):
    channel_type = declaring(receipts=Receipts(delivered_in="message", read_in="message", read_out="watermark"))


class FetchesNothing(ParrotConnector):
    fetch_media = Connector.fetch_media


class PretendsToMarkRead(ParrotConnector):
    async def mark_read(self, command: MarkRead) -> None:
        pass


class ReportsAsIs(ParrotConnector):
    """Sends with an own idea of what an outcome means."""

    async def request(self, method: str, path: str, body: Body | None) -> httpx.Response:
        token = self.config.token.get_secret_value()
        url, headers = self.config.base_url + path, {"authorization": f"Bearer {token}"}
        response = await self.port.http.request(method, url, json=body, headers=headers)
        response.raise_for_status()
        return response


class CallsTimeoutsHarmless(ParrotConnector):
    async def request(self, method: str, path: str, body: Body | None) -> httpx.Response:
        try:
            return await super().request(method, path, body)
        except Uncertain as error:
            raise Unavailable(error.detail) from None


class CallsEverythingUncertain(ParrotConnector):
    async def request(self, method: str, path: str, body: Body | None) -> httpx.Response:
        try:
            return await super().request(method, path, body)
        except Unavailable as error:
            raise Uncertain(error.detail) from None


class ForgetsRetryAfter(ParrotConnector):
    async def request(self, method: str, path: str, body: Body | None) -> httpx.Response:
        try:
            return await super().request(method, path, body)
        except Throttled as error:
            raise Throttled(error.detail) from None


class Retries(ParrotConnector):
    async def request(self, method: str, path: str, body: Body | None) -> httpx.Response:
        with contextlib.suppress(Uncertain, Unavailable):
            return await super().request(method, path, body)
        return await super().request(method, path, body)


class BelievesGarbage(ParrotConnector):
    async def send(self, command: SendMessage) -> Sent:
        try:
            return await super().send(command)
        except Uncertain as error:
            if "cannot be read" in error.detail:
                return Sent(external_ids=("p0",))
            raise


class LeaksTheToken(ParrotConnector):
    async def send(self, command: SendMessage) -> Sent:
        try:
            return await super().send(command)
        except Rejected as error:
            raise Rejected(f"{self.config.token.get_secret_value()} was refused") from error


class LeaksTheTokenInACause(ParrotConnector):
    async def send(self, command: SendMessage) -> Sent:
        try:
            return await super().send(command)
        except Rejected as error:
            cause = httpx.HTTPError(f"400 for https://parrot.example/bot{self.config.token.get_secret_value()}/send")
            raise Rejected(error.detail) from cause


class LogsTheToken(ParrotConnector):
    async def send(self, command: SendMessage) -> Sent:
        structlog.get_logger().info("parrot.sending", token=self.config.token.get_secret_value())
        return await super().send(command)


class ErrsInTheCustomersWords(ParrotConnector):
    async def send(self, command: SendMessage) -> Sent:
        try:
            return await super().send(command)
        except Rejected:
            raise Rejected(f"refused: {command.content}") from None


class ShowsTheToken(ParrotConnector):
    def __repr__(self) -> str:
        return f"ShowsTheToken({self.config.token.get_secret_value()})"


class OpenConfig(ParrotConfig):
    token: str = Field()  # type: ignore[assignment]


class RaisesOnCheck(ParrotConnector):
    async def check(self) -> Health:
        await self.call("GET", "/account", None)
        return Health()


class AnswersAnyHandshake(ParrotConnector):
    def handshake(self, hook: Hook) -> Any:
        return hook.query.get("hub.challenge")


class RefusesItsOwnFacts(ParrotConnector):
    channel_type: ClassVar[ChannelType] = replace(ParrotConnector.channel_type, name="budgie")


@dataclass(frozen=True)
class Broken:
    """A case that breaks a promise, and the test that has to notice."""

    what: str
    case: ConnectorCase
    guard: Callable[..., object]
    arguments: tuple[object, ...] = ()

    def __str__(self) -> str:
        return f"{self.what} {self.guard.__name__.removeprefix('test_')}"


def broken(connector: type[Connector], guard: Callable[..., object], *arguments: object) -> Broken:
    return Broken(connector.__name__, replace(PARROT, connector=connector), guard, arguments)


def open_config() -> OpenConfig:
    config = PARROT.config()
    return OpenConfig.model_validate(
        {**{name: getattr(config, name) for name in ParrotConfig.model_fields}, "token": TOKEN}
    )


BROKEN: Final = (
    broken(ParsesFirst, suite.test_verifying_before_parsing_cannot_be_overridden),
    broken(ParsesFirst, suite.test_a_forged_request_never_reaches_parse),
    broken(ParsesToVerify, suite.test_a_forged_request_never_reaches_parse),
    broken(ReadsToVerify, suite.test_a_forged_request_never_reaches_parse),
    broken(TrustsEveryone, suite.test_a_forged_request_never_reaches_parse),
    broken(TrustsEveryone, suite.test_a_signature_made_with_another_secret_is_refused),
    broken(TrustsTheSilent, suite.test_a_forged_request_never_reaches_parse),
    broken(ComparesTheBeginning, suite.test_a_forged_request_never_reaches_parse),
    broken(TrustsAnUnsetSecret, suite.test_a_secret_that_was_not_set_lets_nobody_in),
    broken(TellsTheRightSignature, suite.test_no_refusal_shows_a_secret_or_the_right_signature),
    broken(AnswersAnyHandshake, suite.test_a_handshake_by_a_stranger_is_refused),
    broken(ShrugsAtGarbage, suite.test_a_body_that_is_never_the_providers_is_malformed),
    broken(TripsOverSurprises, suite.test_any_body_gives_events_or_ignored_or_malformed),
    broken(TripsOverSurprises, suite.test_a_nasty_body_gives_events_or_ignored_or_malformed),
    broken(QuotesTheCustomer, suite.test_no_refusal_shows_the_words_of_a_customer),
    broken(InventsIds, suite.test_parsing_twice_gives_the_same_events_and_the_same_keys),
    broken(StampsWithItsClock, suite.test_parsing_twice_gives_the_same_events_and_the_same_keys),
    broken(CountsInsideTheBatch, suite.test_repeats_and_other_batches_have_the_same_keys, 1),
    broken(GivesOneIdToAll, suite.test_each_fact_of_a_sample_has_a_key_of_its_own),
    broken(ForgetsTheWords, suite.test_events_name_the_channel_and_keep_the_providers_words),
    broken(RefusesItsOwnFacts, suite.test_events_name_the_channel_and_keep_the_providers_words),
    broken(TellsTimeTooFinely, suite.test_events_survive_the_bus),
    broken(DropsReceipts, suite.test_a_receipt_is_declared_if_and_only_if_it_comes),
    broken(DeclaresOtherReceipts, suite.test_a_receipt_is_declared_if_and_only_if_it_comes),
    broken(DeclaresDelete, suite.test_a_method_is_declared_if_and_only_if_it_is_implemented, "delete"),
    broken(DeclaresDelete, suite.test_a_declared_command_is_carried_out),
    broken(HidesDelete, suite.test_a_method_is_declared_if_and_only_if_it_is_implemented, "delete"),
    broken(HidesDelete, suite.test_a_declared_command_is_carried_out),
    broken(PretendsToMarkRead, suite.test_a_declared_command_is_carried_out),
    broken(DeclaresReactions, suite.test_what_is_declared_is_carried),
    broken(DeclaresVideos, suite.test_what_is_declared_is_carried),
    broken(DeclaresButtonsInFull, suite.test_what_is_declared_is_carried),
    broken(HidesLocations, suite.test_what_is_not_declared_is_refused_before_anything_is_sent),
    broken(HidesQuotes, suite.test_a_quote_changes_what_is_sent_if_and_only_if_it_is_declared),
    broken(FetchesNothing, suite.test_files_that_come_can_be_fetched),
    *(broken(ReportsAsIs, suite.test_each_answer_has_its_fate, fault) for fault in (Fault.BAD_REQUEST, Fault.TIMEOUT)),
    broken(ReportsAsIs, suite.test_every_command_fails_with_an_error_that_knows_its_fate, Fault.REFUSED),
    broken(ReportsAsIs, suite.test_a_check_never_raises_and_names_what_is_wrong, Fault.TIMEOUT),
    *(
        broken(CallsTimeoutsHarmless, suite.test_each_answer_has_its_fate, fault)
        for fault in (Fault.TIMEOUT, Fault.TAKEN_THEN_TIMEOUT, Fault.TAKEN_THEN_RESET, Fault.SERVER_ERROR)
    ),
    broken(CallsTimeoutsHarmless, suite.test_no_error_denies_what_the_provider_took, 0),
    broken(CallsEverythingUncertain, suite.test_each_answer_has_its_fate, Fault.REFUSED),
    broken(ForgetsRetryAfter, suite.test_each_answer_has_its_fate, Fault.THROTTLED),
    broken(Retries, suite.test_each_answer_has_its_fate, Fault.TIMEOUT),
    broken(Retries, suite.test_each_answer_has_its_fate, Fault.TAKEN_THEN_RESET),
    broken(Retries, suite.test_no_error_denies_what_the_provider_took, 0),
    broken(BelievesGarbage, suite.test_each_answer_has_its_fate, Fault.TAKEN_THEN_GARBAGE),
    broken(LeaksTheToken, suite.test_no_failed_send_shows_a_secret_or_the_words_of_a_customer, Fault.BAD_REQUEST),
    broken(LeaksTheTokenInACause, suite.test_no_failed_send_shows_a_secret_or_the_words_of_a_customer, Fault.FORBIDDEN),
    broken(LogsTheToken, suite.test_no_failed_send_shows_a_secret_or_the_words_of_a_customer, Fault.OK),
    broken(
        ErrsInTheCustomersWords, suite.test_no_failed_send_shows_a_secret_or_the_words_of_a_customer, Fault.BAD_REQUEST
    ),
    broken(ShowsTheToken, suite.test_no_repr_shows_a_secret),
    broken(RaisesOnCheck, suite.test_a_check_never_raises_and_names_what_is_wrong, Fault.TIMEOUT),
    Broken("OpenConfig", replace(PARROT, config=open_config), suite.test_secrets_are_kept_as_secrets),
    Broken("OpenConfig", replace(PARROT, config=open_config), suite.test_no_repr_shows_a_secret),
    Broken("NoHooks", replace(PARROT, hooks=None), suite.test_verifying_before_parsing_cannot_be_overridden),
    Broken(
        "TrustsEveryone",
        replace(PARROT, connector=TrustsEveryone, hooks=None),
        suite.test_a_channel_that_nobody_calls_refuses_every_request,
    ),
    Broken(
        "ExcusesTimeouts",
        replace(PARROT, driver=replace(PARROT.driver, answers={Fault.TIMEOUT: Unavailable})),
        suite.test_what_a_case_overrides_is_documentable,
    ),
)


async def run(guard: Callable[..., object], case: ConnectorCase, arguments: Sequence[object], caplog: object) -> None:
    """Run a test of the suite as pytest would."""
    names = [name for name in inspect.signature(guard).parameters if name not in ("case", "caplog", "data")]
    named = dict(zip(names, arguments, strict=True))
    if "caplog" in inspect.signature(guard).parameters:
        named["caplog"] = caplog
    result = guard(case=case, **named)
    if inspect.isawaitable(result):
        await result


@pytest.mark.parametrize("broken", BROKEN, ids=str)
async def test_a_broken_connector_is_caught(broken: Broken, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(AssertionError):
        await run(broken.guard, broken.case, broken.arguments, caplog)


@pytest.mark.parametrize("broken", BROKEN, ids=str)
async def test_its_guard_is_content_with_parrot(broken: Broken, caplog: pytest.LogCaptureFixture) -> None:
    if broken.guard is not suite.test_a_channel_that_nobody_calls_refuses_every_request:
        await run(broken.guard, PARROT, broken.arguments, caplog)
