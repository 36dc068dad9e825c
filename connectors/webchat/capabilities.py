"""What the site chat can do. Data, not code; rooms that are not built yet say NONE."""

from typing import Final

from shared.capabilities import Capabilities, Level, Receipts, Typing

TEXT_MAX: Final = 4000  # ours: longer lines are no longer a chat

CAPABILITIES: Final = Capabilities(
    text=Level.FULL,
    text_max=TEXT_MAX,
    typing=Typing(level=Level.FULL, ttl_s=6),
    receipts=Receipts(delivered_in="watermark", read_in="watermark", read_out="watermark"),
    idempotent_send=True,  # the thread is read from the tables: a repeated send only wakes the sockets again
)
