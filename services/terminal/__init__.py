"""`shopbell agent`: the inbox of an agent in a terminal, a client of the API like any other."""

from __future__ import annotations

from shopbell_client import Client

__all__ = ["run"]


async def run(*, base_url: str, token: str, plain: bool) -> None:
    """Run until the agent leaves; SystemExit(1) in plain mode when the token does not serve."""
    async with Client(base_url, token) as client:
        if plain:
            from services.terminal.plain import run_plain  # without Textual: starts at once

            await run_plain(client)
        else:
            from services.terminal.screen import AgentScreen

            await AgentScreen(client).run_async()
