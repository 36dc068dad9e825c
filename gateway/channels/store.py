"""Channels in the tables: settings in clear, secrets sealed to their row."""

import json
import uuid
from typing import Any, Final

import sqlalchemy as sa
from pydantic import SecretStr, ValidationError
from pydantic_core import to_jsonable_python
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.core import Core
from gateway.problems import FieldError, Problem
from gateway.views import ChannelView
from shared.connector import ChannelType
from shared.ids import CHANNEL, MalformedId, read_id, show_id
from shared.model import StrictModel
from shared.signing import seal, unseal
from shared.subjects import ChannelAnswer, ChannelQuestion, ChannelRecord, ChannelsAnswer, ChannelsQuestion

BY_ID: Final = sa.text("SELECT * FROM channels WHERE shop_id = :shop_id AND id = :id AND deleted_at IS NULL")
LOCKED: Final = sa.text(
    "SELECT * FROM channels WHERE shop_id = :shop_id AND id = :id AND deleted_at IS NULL FOR UPDATE"
)
STOPPING: Final = frozenset({"auth_expired", "account_disabled"})  # until a person has seen to it
ANY_SHOP: Final = sa.text("SELECT * FROM channels WHERE id = :id AND type = :type AND deleted_at IS NULL")
BESIDE: Final = sa.text("SELECT shop_id FROM channels WHERE id = :id AND deleted_at IS NULL")
ACTIVE: Final = sa.text(
    "SELECT id FROM channels WHERE type = :type AND state = 'active' AND deleted_at IS NULL ORDER BY id"
)
INSERT: Final = sa.text(
    """
    INSERT INTO channels (shop_id, id, type, name, state, settings, secrets, account)
    VALUES (:shop_id, :id, :type, :name, 'active', CAST(:settings AS jsonb), :secrets, :account)
    ON CONFLICT (shop_id, type, account) WHERE account IS NOT NULL AND deleted_at IS NULL DO NOTHING
    RETURNING *
    """
)
UPDATE: Final = sa.text(
    """
    UPDATE channels SET name = :name, state = :state, settings = CAST(:settings AS jsonb), secrets = :secrets,
        account = :account,
        state_reason = CASE WHEN :state = 'active' THEN NULL ELSE state_reason END, version = version + 1
    WHERE shop_id = :shop_id AND id = :id RETURNING *
    """
)


def parse_config(kind: ChannelType, values: dict[str, Any]) -> StrictModel:
    """The settings of a channel of this kind; raises `Problem` with every mistake."""
    try:
        return kind.config.model_validate(values)
    except ValidationError as error:
        errors = [
            FieldError(pointer="/settings/" + "/".join(map(str, e["loc"])), code=e["type"], detail=e["msg"])
            for e in error.errors(include_input=False, include_context=False)
        ]
        where = ", ".join(e.pointer for e in errors)
        raise Problem("validation_failed", f"These settings do not fit: {where}.", errors=errors) from None


def split_config(config: StrictModel) -> tuple[dict[str, Any], dict[str, str]]:
    """What may be shown, and what may not."""
    plain: dict[str, Any] = {}
    secrets: dict[str, str] = {}
    for name in type(config).model_fields:
        value = getattr(config, name)
        if isinstance(value, SecretStr):
            secrets[name] = value.get_secret_value()
        else:
            plain[name] = to_jsonable_python(value)
    return plain, secrets


def seal_secrets(core: Core, shop_id: uuid.UUID, channel_id: uuid.UUID, secrets: dict[str, str]) -> bytes:
    return seal(core.key("channel secrets"), json.dumps(secrets).encode(), bound_to=shop_id.bytes + channel_id.bytes)


def open_secrets(core: Core, row: Any) -> dict[str, str]:
    sealed, bound_to = bytes(row.secrets), row.shop_id.bytes + row.id.bytes
    secrets: dict[str, str] = json.loads(unseal(core.key("channel secrets"), sealed, bound_to=bound_to))
    return secrets


async def insert(
    connection: AsyncConnection,
    core: Core,
    *,
    shop_id: uuid.UUID,
    key: uuid.UUID,
    kind: str,
    name: str,
    config: StrictModel,
) -> Any:
    plain, secrets = split_config(config)
    named = {
        "shop_id": shop_id,
        "id": key,
        "type": kind,
        "name": name,
        "settings": json.dumps(plain),
        "secrets": seal_secrets(core, shop_id, key, secrets),
        "account": account_of(core.types[kind], config),
    }
    row = (await connection.execute(INSERT, named)).one_or_none()
    if row is None:
        raise Problem("conflict", f"This shop has a {kind} channel of account {named['account']} already; change that.")
    return row


async def update(
    connection: AsyncConnection, core: Core, row: Any, *, name: str, state: str, config: StrictModel
) -> Any:
    plain, secrets = split_config(config)
    named = {
        "shop_id": row.shop_id,
        "id": row.id,
        "name": name,
        "state": state,
        "settings": json.dumps(plain),
        "secrets": seal_secrets(core, row.shop_id, row.id, secrets),
        "account": account_of(core.types[row.type], config),
    }
    return (await connection.execute(UPDATE, named)).one()


def account_of(kind: ChannelType, config: StrictModel) -> str | None:
    """Our end of the channel, where the provider names it in what it tells."""
    return None if kind.account is None else str(getattr(config, kind.account))


def hook_url(core: Core, row: Any) -> str:
    return f"{core.base_url}/hooks/{row.type}/{show_id(CHANNEL, row.id)}"


def channel_view(core: Core, row: Any) -> ChannelView:
    kind = core.types.get(row.type)
    return ChannelView(
        id=show_id(CHANNEL, row.id),
        type=row.type,
        name=row.name,
        state=row.state,
        state_reason=row.state_reason,
        capabilities=kind.capabilities.model_dump(mode="json") if kind else {},
        settings=row.settings,
        hook_url=hook_url(core, row),
        created_at=row.created_at,
    )


def is_stopped(row: Any) -> bool:
    """Whether the provider's refusal has paused it: then nothing goes out, and what comes in is still taken.

    Customers write on meanwhile, and their words prove themselves by a signature and not by our credentials.
    """
    return row.state == "paused" and (row.state_reason or {}).get("code") in STOPPING


class ChannelDirectory:
    """Answers `CHANNEL` and `CHANNELS`: the connectors learn from here which channels there are, and their settings."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def answer(self, question: ChannelQuestion) -> ChannelAnswer:
        try:
            key = read_id(CHANNEL, question.channel_id)
            beside = read_id(CHANNEL, question.beside) if question.beside else None
        except MalformedId:
            return ChannelAnswer(channel=None)
        async with self._core.db.system() as connection:
            row = (await connection.execute(ANY_SHOP, {"id": key, "type": question.channel_type})).one_or_none()
            if row is None or (beside and await connection.scalar(BESIDE, {"id": beside}) != row.shop_id):
                return ChannelAnswer(channel=None)
        config = row.settings | open_secrets(self._core, row)
        return ChannelAnswer(
            channel=ChannelRecord(
                id=question.channel_id,
                type=row.type,
                active=row.state == "active" or is_stopped(row),
                config=config,
                hook_url=hook_url(self._core, row) if self._core.settings.public_url else None,
            )
        )

    async def list(self, question: ChannelsQuestion) -> ChannelsAnswer:
        async with self._core.db.system() as connection:
            rows = (await connection.execute(ACTIVE, {"type": question.channel_type})).all()
        return ChannelsAnswer(channel_ids=tuple(show_id(CHANNEL, row.id) for row in rows))
