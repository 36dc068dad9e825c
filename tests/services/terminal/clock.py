"""A clock for the terminal's tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class Clock:
    """Stands still, a little after the fake shop's messages, until it is told to move."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 22, 11, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def pass_by(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
