"""What Parrot can do, as data."""

from shared.capabilities import Capabilities, Level, MediaRule, Receipts, Typing

CAPABILITIES = Capabilities(
    text=Level.FULL,
    text_max=500,
    media={"image": MediaRule(level=Level.FULL, mimes=frozenset({"image/png"}), max_bytes=1_000_000, caption_max=100)},
    location=Level.FULL,
    buttons=Level.FALLBACK,
    buttons_max=9,
    quote=Level.FULL,
    edit=Level.FULL,
    # A message that was spoken cannot be taken back: no delete here.
    typing=Typing(level=Level.FULL, ttl_s=5),
    receipts=Receipts(delivered_in="message", read_in="watermark", read_out="watermark"),
)
