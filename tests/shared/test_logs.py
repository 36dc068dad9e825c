"""Logs in a process of their own, because they are configured once for a whole process."""

import json
import subprocess
import sys

import pytest

PROGRAM = """
import logging
import structlog
from shared.logs import configure_logs

configure_logs(level="info", style={style!r})
log = structlog.get_logger("demo")
log.debug("demo.hidden")
log.info("demo.started", channel_id="chn_1")
logging.getLogger("httpx").info("HTTP Request: POST https://provider.test/botTOKEN-IN-URL/send")
logging.getLogger("elsewhere").warning("from a library")

def fail():
    token = "can" + "ary-in-a-variable"
    raise RuntimeError("it broke")

try:
    fail()
except RuntimeError:
    log.exception("demo.failed")
    logging.getLogger("elsewhere").exception("library failed")
"""


def run(style: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(style=style)], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == ""
    return done.stderr


@pytest.fixture(scope="module", params=["text", "json"])
def printed(request: pytest.FixtureRequest) -> str:
    return run(request.param)


def test_a_log_shows_what_broke_and_never_the_variables(printed: str) -> None:
    assert printed.count("RuntimeError: it broke") == 2 or printed.count('"exc_value": "it broke"') == 2
    assert "canary-in-a-variable" not in printed


def test_a_log_has_no_address_of_a_provider(printed: str) -> None:
    assert "TOKEN-IN-URL" not in printed


def test_the_level_is_kept_and_libraries_are_heard(printed: str) -> None:
    assert "demo.hidden" not in printed
    assert "demo.started" in printed
    assert "from a library" in printed


def test_each_line_for_machines_is_one_json_object() -> None:
    lines = [json.loads(line) for line in run("json").splitlines()]
    started = next(line for line in lines if line["event"] == "demo.started")
    assert (started["level"], started["channel_id"]) == ("info", "chn_1")
    assert started["timestamp"].endswith("Z")
    assert [line["event"] for line in lines] == [
        "demo.started",
        "from a library",
        "demo.failed",
        "library failed",
    ]
