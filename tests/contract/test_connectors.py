"""What every registered connector has to keep. `test_the_suites.py` shows that each of these can fail."""

import logging
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

import connectors
from shared.capabilities import Capabilities, Level, check_content
from shared.commands import DeleteMessage, EditMessage, MarkRead, SendMessage, Sent, SetTyping
from shared.connector import Connector, Health, Hook
from shared.content import Content, Media, Text
from shared.errors import (
    AuthExpired,
    BadSignature,
    Ignored,
    IngressError,
    Malformed,
    Rejected,
    SendError,
    Throttled,
    Unavailable,
    Uncertain,
    Unreachable,
    Unsupported,
    WindowClosed,
)
from shared.events import Fate, MessageReceived, ReceiptReported, Status, dedupe_key
from shared.ids import MESSAGE, show_id
from shared.model import StrictModel
from shared.simulator import TAKING, Fault, FaultPlan, HookPlan, Simulator
from shared.subjects import InboundBatch
from tests.contract.harness import (
    EXAMPLES,
    GARBAGE,
    NASTY_BODIES,
    bodies,
    connect,
    connect_spied,
    forgeries,
    level_of,
    outcome,
    outcome_of,
    shown,
    with_secrets,
)
from tests.contract.registry import CASES, ConnectorCase, Hooks

REFUSED: Final = (Rejected, Unreachable, WindowClosed, Unsupported)
EXPECTED: Final[Mapping[Fault, tuple[type, ...]]] = {
    Fault.OK: (Sent,),
    Fault.SLOW: (Sent,),
    Fault.BAD_REQUEST: REFUSED,
    Fault.UNAUTHORIZED: (AuthExpired,),
    Fault.FORBIDDEN: (*REFUSED, AuthExpired),
    Fault.NOT_FOUND: (*REFUSED, AuthExpired),
    Fault.THROTTLED: (Throttled,),
    Fault.SERVER_ERROR: (Uncertain,),
    Fault.BAD_GATEWAY: (Uncertain,),
    Fault.REFUSED: (Unavailable,),
    Fault.CONNECT_TIMEOUT: (Unavailable,),
    Fault.TIMEOUT: (Uncertain,),
    Fault.DROPPED: (Uncertain,),
    Fault.TAKEN_THEN_TIMEOUT: (Uncertain,),
    Fault.TAKEN_THEN_ERROR: (Uncertain,),
    Fault.TAKEN_THEN_RESET: (Uncertain,),
    Fault.TAKEN_THEN_GARBAGE: (Uncertain,),
}
DOCUMENTABLE: Final = frozenset(
    {Fault.BAD_REQUEST, Fault.UNAUTHORIZED, Fault.FORBIDDEN, Fault.NOT_FOUND, Fault.THROTTLED, Fault.SERVER_ERROR}
)
"""Answers that a provider can give a meaning of its own; of the others nobody can know what they mean."""

DECLARES: Final[Mapping[str, Callable[[Capabilities], bool]]] = {
    "send": lambda can: any(level_of(can, content) for content in EXAMPLES),
    "edit": lambda can: can.edit > Level.NONE,
    "delete": lambda can: can.delete > Level.NONE,
    "mark_read": lambda can: can.receipts.read_out != "none" or can.receipts.read_out_note is not None,
    "set_typing": lambda can: can.typing.level > Level.NONE,
}
CUSTOMERS_WORDS: Final = "canary-words-of-a-customer"

every_connector = pytest.mark.parametrize("case", CASES, ids=str)
every_hooked_connector = pytest.mark.parametrize("case", [case for case in CASES if case.hooks], ids=str)
every_unhooked_connector = pytest.mark.parametrize("case", [case for case in CASES if not case.hooks], ids=str)
every_sending_connector = pytest.mark.parametrize("case", [case for case in CASES if case.simulator], ids=str)
fuzzed = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])


def hooks_of(case: ConnectorCase) -> Hooks:
    assert case.hooks is not None
    return case.hooks


def simulator_of(case: ConnectorCase) -> Simulator:
    assert case.simulator is not None
    return case.simulator()


def message(case: ConnectorCase, content: Content, *, number: int = 1) -> SendMessage:
    return SendMessage(address=case.driver.address, message_id=show_id(MESSAGE, uuid.UUID(int=number)), content=content)


def commands(connector: Connector, case: ConnectorCase) -> dict[str, Callable[[], object]]:
    """Every way of asking something of the channel but `send`."""
    address, known, notes = case.driver.address, case.driver.known, dict(case.driver.notes)
    when = connector.port.clock()
    text = Text(text="better")
    return {
        "edit": lambda: connector.edit(
            EditMessage(address=address, message_id="msg_1", external_ids=(known,), content=text, context=notes)
        ),
        "delete": lambda: connector.delete(
            DeleteMessage(address=address, message_id="msg_1", external_ids=(known,), context=notes)
        ),
        "mark_read": lambda: connector.mark_read(
            MarkRead(address=address, external_id=known, read_at=when, context=notes)
        ),
        "set_typing": lambda: connector.set_typing(SetTyping(address=address, on=True, context=notes)),
    }


def overrides(connector: type[Connector], method: str) -> bool:
    return getattr(connector, method) is not getattr(Connector, method)


# The registry


def test_every_connector_is_registered() -> None:
    folders = {path.parent.name for path in Path(connectors.__path__[0]).glob("*/connector.py")}
    assert folders <= {str(case) for case in CASES}, "add the missing ones to tests/contract/registry.py"


@every_connector
def test_what_a_case_overrides_is_documentable(case: ConnectorCase) -> None:
    assert set(case.driver.answers) <= DOCUMENTABLE


# Who may speak


@every_connector
def test_verifying_before_parsing_cannot_be_overridden(case: ConnectorCase) -> None:
    assert not overrides(case.connector, "receive")
    assert overrides(case.connector, "verify") == overrides(case.connector, "parse") == (case.hooks is not None)


@every_unhooked_connector
def test_a_channel_that_nobody_calls_refuses_every_request(case: ConnectorCase) -> None:
    connector = connect(case)
    hook = Hook("POST", {}, {}, b"{}")
    assert isinstance(outcome_of(connector.verify, hook), BadSignature)
    assert isinstance(outcome_of(connector.parse, hook), Malformed)
    assert isinstance(outcome_of(connector.receive, hook), BadSignature)


@every_hooked_connector
def test_a_signed_request_is_taken(case: ConnectorCase) -> None:
    connector, reached = connect_spied(case)
    for sample in hooks_of(case).samples:
        assert connector.receive(hooks_of(case).sign(sample))
    assert len(reached) == len(hooks_of(case).samples)


@every_hooked_connector
def test_a_forged_request_never_reaches_parse(case: ConnectorCase) -> None:
    hooks = hooks_of(case)
    connector, reached = connect_spied(case)
    for sample in hooks.samples:
        for how, hook in forgeries(hooks.sign(sample), hooks.signature_header, covers_body=hooks.covers_body):
            result = outcome_of(connector.receive, hook)
            assert isinstance(result, BadSignature), f"{how}: {result!r}"
            assert not reached, f"{how}: parse was called"


@every_hooked_connector
def test_a_signature_made_with_another_secret_is_refused(case: ConnectorCase) -> None:
    config = case.other_secrets() if case.other_secrets else with_secrets(case.config(), "0" * 32)
    connector, reached = connect_spied(case, config=config)
    result = outcome_of(connector.receive, hooks_of(case).sign(hooks_of(case).samples[0]))
    assert isinstance(result, BadSignature)
    assert not reached


@every_hooked_connector
def test_a_secret_that_was_not_set_lets_nobody_in(case: ConnectorCase) -> None:
    hooks = hooks_of(case)
    try:
        config = with_secrets(case.config(), "")
    except ValidationError:
        return  # such a configuration cannot be had: better still
    connector = connect(case, config=config)
    hook = hooks.sign(hooks.samples[0])
    bare = {name: text for name, text in hook.headers.items() if name != hooks.signature_header}
    for headers in ({}, bare, {**bare, hooks.signature_header: ""}):
        assert isinstance(
            outcome_of(connector.receive, Hook(hook.method, headers, hook.query, hook.body)), BadSignature
        )


@every_connector
def test_a_handshake_by_a_stranger_is_refused(case: ConnectorCase) -> None:
    strange = {"hub.mode": "subscribe", "hub.verify_token": "é", "hub.challenge": "1"}
    for query in ({}, strange):
        assert isinstance(outcome_of(connect(case).handshake, Hook("GET", {}, query, b"")), IngressError)


# What is said


@every_hooked_connector
def test_a_body_that_is_never_the_providers_is_malformed(case: ConnectorCase) -> None:
    for body in (*GARBAGE, *hooks_of(case).garbage):
        result = outcome_of(connect(case).receive, hooks_of(case).sign(body))
        assert isinstance(result, Malformed), f"{body[:20]!r}: {result!r}"


@every_hooked_connector
def test_what_is_of_no_interest_is_ignored(case: ConnectorCase) -> None:
    for body in hooks_of(case).ignored:
        result = outcome_of(connect(case).receive, hooks_of(case).sign(body))
        assert isinstance(result, Ignored), f"{body[:80]!r}: {result!r}"


@every_hooked_connector
@fuzzed
@given(data=st.data())
def test_any_body_gives_events_or_ignored_or_malformed(case: ConnectorCase, data: st.DataObject) -> None:
    assert_digested(case, data.draw(bodies(hooks_of(case).samples)))


@every_hooked_connector
def test_a_nasty_body_gives_events_or_ignored_or_malformed(case: ConnectorCase) -> None:
    for body in NASTY_BODIES:
        assert_digested(case, body)


def assert_digested(case: ConnectorCase, body: bytes) -> None:
    result = outcome_of(connect(case).receive, hooks_of(case).sign(body))
    if isinstance(result, Exception):
        assert isinstance(result, Ignored | Malformed), shown(result)
        return
    batch = InboundBatch.model_validate({"channel_id": "chn_1", "events": result})
    assert InboundBatch.model_validate_json(batch.model_dump_json()) == batch


@every_hooked_connector
def test_parsing_twice_gives_the_same_events_and_the_same_keys(case: ConnectorCase) -> None:
    connector = connect(case)
    for sample in hooks_of(case).samples:
        first, second = (connector.receive(hooks_of(case).sign(sample)) for _ in range(2))
        assert [dedupe_key(event) for event in first] == [dedupe_key(event) for event in second]
        assert list(first) == list(second)


@every_hooked_connector
def test_each_fact_of_a_sample_has_a_key_of_its_own(case: ConnectorCase) -> None:
    for sample in hooks_of(case).samples:
        keys = Counter(dedupe_key(event) for event in connect(case).receive(hooks_of(case).sign(sample)))
        assert set(keys.values()) == {1}, f"told once and keyed alike: {keys.most_common(1)}"


@every_hooked_connector
@pytest.mark.parametrize("seed", range(5))
def test_repeats_and_other_batches_have_the_same_keys(case: ConnectorCase, seed: int) -> None:
    if not hooks_of(case).facts:
        pytest.skip("the case names no facts that can be put into other batches")
    connector, simulator = connect(case), simulator_of(case)

    def keys(plan: HookPlan) -> set[str]:
        requests = [simulator.hook(batch) for batch in plan.batches(hooks_of(case).facts)]
        return {dedupe_key(event) for request in requests for event in connector.receive(request)}

    plan = HookPlan(seed=seed, duplicate=0.5, reorder=0.5, batch=hooks_of(case).batch)
    assert keys(plan) == keys(HookPlan())


@every_hooked_connector
def test_events_survive_the_bus(case: ConnectorCase) -> None:
    for sample in hooks_of(case).samples:
        events = tuple(connect(case).receive(hooks_of(case).sign(sample)))
        batch = InboundBatch(channel_id="chn_1", events=events)
        again = InboundBatch.model_validate_json(batch.model_dump_json())
        assert again.events == events
        assert [dedupe_key(event) for event in again.events] == [dedupe_key(event) for event in events]


@every_hooked_connector
def test_events_name_the_channel_and_keep_the_providers_words(case: ConnectorCase) -> None:
    for sample in hooks_of(case).samples:
        for event in connect(case).receive(hooks_of(case).sign(sample)):
            assert event.address.channel == str(case)
            assert event.raw, f"{event.kind} has lost the provider's words"


# What is promised


@every_connector
@pytest.mark.parametrize("method", DECLARES)
def test_a_method_is_declared_if_and_only_if_it_is_implemented(case: ConnectorCase, method: str) -> None:
    declared = DECLARES[method](case.connector.channel_type.capabilities)
    assert declared == overrides(case.connector, method), f"{method}: declared {declared}"


@every_connector
async def test_what_is_declared_is_carried(case: ConnectorCase) -> None:
    can = case.connector.channel_type.capabilities
    assert {kind(content) for content in case.driver.contents} == {kind(one) for one in EXAMPLES if level_of(can, one)}
    connector = connect(case, simulator=case.simulator() if case.simulator else None)
    for content in case.driver.contents:
        check_content(can, content)
        result = await outcome(connector.send(message(case, content)))
        assert isinstance(result, Sent), f"{kind(content)}: {result!r}"
        assert result.external_ids
        assert bool(result.degraded) == (level_of(can, content) is Level.FALLBACK), f"{kind(content)}: {result!r}"
    await connector.close()


@every_sending_connector
async def test_what_is_not_declared_is_refused_before_anything_is_sent(case: ConnectorCase) -> None:
    can, simulator = case.connector.channel_type.capabilities, simulator_of(case)
    connector = connect(case, simulator=simulator)
    for content in (one for one in EXAMPLES if not level_of(can, one)):
        result = await outcome(connector.send(message(case, content)))
        assert isinstance(result, Unsupported), f"{kind(content)}: {result!r}"
    assert not simulator.ledger


@every_connector
async def test_a_declared_command_is_carried_out(case: ConnectorCase) -> None:
    can, simulator = case.connector.channel_type.capabilities, case.simulator() if case.simulator else None
    connector = connect(case, simulator=simulator)
    for name, command in commands(connector, case).items():
        before = len(simulator.ledger) if simulator else 0
        result = await outcome(command())  # type: ignore[arg-type]
        if DECLARES[name](can):
            assert result is None, f"{name}: {result!r}"
            assert simulator is None or len(simulator.ledger) > before, f"{name}: the provider never heard of it"
        else:
            assert isinstance(result, Unsupported), f"{name}: {result!r}"


@every_sending_connector
async def test_a_quote_changes_what_is_sent_if_and_only_if_it_is_declared(case: ConnectorCase) -> None:
    said = []
    for target in (case.driver.known, None):
        simulator = simulator_of(case)
        quoting = {"reply_to": target, "context": dict(case.driver.notes)}
        command = message(case, case.driver.contents[0]).model_copy(update=quoting)
        result = await outcome(connect(case, simulator=simulator).send(command))
        assert isinstance(result, Sent)
        said.append([await entry.request.body() for entry in simulator.ledger])
    assert (said[0] != said[1]) == bool(case.connector.channel_type.capabilities.quote)


@every_hooked_connector
def test_a_receipt_is_declared_if_and_only_if_it_comes(case: ConnectorCase) -> None:
    come = {Status.DELIVERED: "none", Status.READ: "none"}
    for sample in hooks_of(case).samples:
        for event in connect(case).receive(hooks_of(case).sign(sample)):
            if isinstance(event, ReceiptReported) and event.status in come:
                come[event.status] = "message" if event.external_ids or event.message_id else "watermark"
    receipts = case.connector.channel_type.capabilities.receipts
    assert come == {Status.DELIVERED: receipts.delivered_in, Status.READ: receipts.read_in}


@every_hooked_connector
def test_files_that_come_can_be_fetched(case: ConnectorCase) -> None:
    for sample in hooks_of(case).samples:
        for event in connect(case).receive(hooks_of(case).sign(sample)):
            if isinstance(event, MessageReceived) and isinstance(event.content, Media) and event.content.source:
                assert overrides(case.connector, "fetch_media")


def kind(content: Content) -> str:
    return content.media if isinstance(content, Media) else content.kind


# What becomes of a send


@every_sending_connector
@pytest.mark.parametrize("fault", Fault)
async def test_each_answer_has_its_fate(case: ConnectorCase, fault: Fault) -> None:
    simulator = simulator_of(case)
    simulator.script([fault])
    result = await outcome(connect(case, simulator=simulator).send(message(case, case.driver.contents[0])))
    allowed = (case.driver.answers[fault],) if fault in case.driver.answers else EXPECTED[fault]
    assert isinstance(result, allowed), f"{fault}: {result!r}"
    if isinstance(result, Throttled):
        assert result.retry_after_s == simulator.retry_after_s
    assert sum(entry.fault is not Fault.OK for entry in simulator.ledger) <= 1, "retries belong to the relay alone"
    assert len(simulator.taken) == (fault in TAKING), f"{fault}: {simulator.taken}"


@every_sending_connector
@pytest.mark.parametrize("fault", Fault)
async def test_every_command_fails_with_an_error_that_knows_its_fate(case: ConnectorCase, fault: Fault) -> None:
    simulator = simulator_of(case)
    connector = connect(case, simulator=simulator)
    for name, command in commands(connector, case).items():
        simulator.script([fault])
        result = await outcome(command())  # type: ignore[arg-type]
        assert result is None or isinstance(result, SendError), f"{name}, {fault}: {result!r}"
        simulator.plan.script.clear()


@every_sending_connector
@pytest.mark.parametrize("seed", range(3))
async def test_no_error_denies_what_the_provider_took(case: ConnectorCase, seed: int) -> None:
    simulator = simulator_of(case)
    simulator.plan = FaultPlan(seed=seed, rates=dict.fromkeys(Fault, 1 / len(Fault)))
    connector = connect(case, simulator=simulator)
    for number in range(40):
        before = len(simulator.taken)
        result = await outcome(connector.send(message(case, Text(text=f"number {number}"), number=number)))
        took = [taken.external_id for taken in simulator.taken[before:]]
        if isinstance(result, Sent):
            assert list(result.external_ids) == took
        else:
            assert isinstance(result, SendError), repr(result)
            assert not took or result.fate is Fate.ASK, f"the provider has it, and this was said: {result!r}"
    simulator.assert_nothing_taken_twice()


@every_sending_connector
@pytest.mark.parametrize("fault", [Fault.OK, Fault.UNAUTHORIZED, Fault.TIMEOUT, Fault.REFUSED])
async def test_a_check_never_raises_and_names_what_is_wrong(case: ConnectorCase, fault: Fault) -> None:
    if not overrides(case.connector, "check"):
        pytest.skip("the channel has nothing to check")
    simulator = simulator_of(case)
    simulator.script([fault] * 5)
    health = await outcome(connect(case, simulator=simulator).check())
    assert isinstance(health, Health), repr(health)
    assert bool(health.problems) == (fault is not Fault.OK)
    assert_no_secret(case, " ".join(health.problems))


# What is never shown


def assert_no_secret(case: ConnectorCase, text: str) -> None:
    found = [number for number, secret in enumerate(case.secrets) if secret in text]
    assert not found, f"secret number {found} of the case is in: {text.replace(case.secrets[found[0]], '<SECRET>')}"


@every_connector
def test_secrets_are_kept_as_secrets(case: ConnectorCase) -> None:
    config: StrictModel = case.config()
    kept = {getattr(config, name) for name in type(config).model_fields if isinstance(getattr(config, name), SecretStr)}
    assert {secret.get_secret_value() for secret in kept} == set(case.secrets)


@every_connector
def test_no_repr_shows_a_secret(case: ConnectorCase) -> None:
    connector = connect(case)
    for value in (connector, connector.port, connector.port.config, case.connector.channel_type):
        assert_no_secret(case, f"{value!r} {value!s}")
    assert_no_secret(case, connector.port.config.model_dump_json())


@every_hooked_connector
def test_no_request_shows_its_signature_in_a_repr(case: ConnectorCase) -> None:
    hook = hooks_of(case).sign(hooks_of(case).samples[0])
    assert hook.headers[hooks_of(case).signature_header] not in repr(hook)


@every_hooked_connector
def test_no_refusal_shows_a_secret_or_the_right_signature(case: ConnectorCase) -> None:
    hooks = hooks_of(case)
    hook = hooks.sign(hooks.samples[0])
    for _, forged in forgeries(hook, hooks.signature_header, covers_body=False):
        error = outcome_of(connect(case).receive, forged)
        assert isinstance(error, Exception)
        assert_no_secret(case, shown(error))
        assert hook.headers[hooks.signature_header] not in shown(error), "an error tells the right signature"


@every_hooked_connector
def test_no_refusal_shows_the_words_of_a_customer(case: ConnectorCase) -> None:
    words = CUSTOMERS_WORDS.encode()
    for body in (words, b'"' + words + b'"', b'{"' + words + b'": 1}', b'{"text": "' + words + b'", "messages": 1'):
        error = outcome_of(connect(case).receive, hooks_of(case).sign(body))
        if isinstance(error, Exception):
            assert CUSTOMERS_WORDS not in shown(error)


@every_sending_connector
@pytest.mark.parametrize("fault", Fault)
async def test_no_failed_send_shows_a_secret_or_the_words_of_a_customer(
    case: ConnectorCase, fault: Fault, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    simulator = simulator_of(case)
    simulator.script([fault] * 5)
    connector = connect(case, simulator=simulator)
    with structlog.testing.capture_logs() as logs:
        result = await outcome(connector.send(message(case, Text(text=CUSTOMERS_WORDS))))
        results = [result, *[await outcome(command()) for command in commands(connector, case).values()]]  # type: ignore[arg-type]
    text = "\n".join([shown(error) for error in results if isinstance(error, Exception)])
    text += repr(logs) + "\n".join(record.getMessage() for record in caplog.records if is_ours(record))
    assert_no_secret(case, text)
    assert CUSTOMERS_WORDS not in text


def is_ours(record: logging.LogRecord) -> bool:
    """httpx logs addresses with its own level; `configure_logs` keeps that out of ours."""
    return not record.name.startswith(("httpx", "httpcore")) or record.levelno >= logging.WARNING
