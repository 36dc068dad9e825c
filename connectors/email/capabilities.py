"""What e-mail can do. Data, not code."""

from typing import Final

from connectors.email.config import EmailConfig
from shared.capabilities import Capabilities, Level, MediaRule, Receipts
from shared.connector import ChannelType
from shared.content import MediaKind

CHANNEL: Final = "email"
TEXT_MAX: Final = 500_000
# Gmail takes 25 MB, Outlook.com 20 MB; in base 64 a file grows by 37 %.
FILES_MAX_BYTES: Final = 14_000_000
KINDS: Final[tuple[MediaKind, ...]] = ("image", "audio", "voice", "video", "file", "sticker")

CAPABILITIES: Final = Capabilities(
    text=Level.FULL,
    text_max=TEXT_MAX,
    media={kind: MediaRule(level=Level.FULL) for kind in KINDS},
    album=Level.FULL,
    attachments_max=50,
    attachments_max_bytes=FILES_MAX_BYTES,
    location=Level.FALLBACK,
    contact_card=Level.FALLBACK,
    buttons=Level.FALLBACK,
    buttons_max=20,
    quote=Level.FULL,
    receipts=Receipts(delivered_in="message", read_in="message"),
    pace="mail",
)

CHANNEL_TYPE: Final = ChannelType(
    name=CHANNEL,
    title="E-mail",
    capabilities=CAPABILITIES,
    config=EmailConfig,
    account="address",
    hook_max_bytes=50 * 1024 * 1024,
)
