"""From our words to the frames that a browser gets. Pure."""

import json
from datetime import datetime

from shared.model import show_time
from shared.subjects import ThreadPage


def render_sync(page: ThreadPage) -> str:
    return f'{{"t":"sync","d":{page.model_dump_json()}}}'


def render_welcome(session: str, now: datetime) -> str:
    return json.dumps({"t": "welcome", "d": {"session": session, "server_time": show_time(now)}})


def render_ack(cmid: str) -> str:
    return json.dumps({"t": "ack", "id": cmid, "d": {"cmid": cmid}})


def render_nack(cmid: str | None, code: str, detail: str, retry_after_s: float | None = None) -> str:
    told: dict[str, str | float] = {"code": code, "detail": detail}
    if retry_after_s is not None:
        told["retry_after_s"] = retry_after_s
    return json.dumps({"t": "nack", "id": cmid, "d": told})


def render_typing(*, on: bool, name: str | None) -> str:
    return json.dumps({"t": "typing", "d": {"on": on, "name": name}})


def render_bye(retry_after_s: float) -> str:
    return json.dumps({"t": "bye", "d": {"retry_after_s": round(retry_after_s, 1)}})


PONG = '{"t":"pong"}'
