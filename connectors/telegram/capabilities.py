"""What Telegram can do. Data, not code; loaded without the provider's library."""

from typing import Final

from connectors.telegram.config import TelegramConfig
from shared.capabilities import Capabilities, Level, MediaRule, Rate, Receipts, Typing
from shared.connector import ChannelType

CHANNEL: Final = "telegram"
TEXT_MAX: Final = 32_768  # ours: eight messages of 4096, into which a longer text is split
UPLOAD_MAX_BYTES: Final = 50_000_000  # the Bot API takes uploads up to 50 MB
STICKER_MAX_BYTES: Final = 512_000
BUSINESS: Final = "business"  # the note that names the business connection of a conversation

FILE: Final = MediaRule(level=Level.FULL, max_bytes=UPLOAD_MAX_BYTES, caption_max=TEXT_MAX)

CAPABILITIES: Final = Capabilities(
    text=Level.FULL,
    text_max=TEXT_MAX,
    media={
        "image": FILE,
        "audio": FILE,
        "voice": FILE,
        "video": FILE,
        "sticker": MediaRule(level=Level.FULL, max_bytes=STICKER_MAX_BYTES, caption_max=TEXT_MAX),
        "file": FILE,
    },
    album=Level.FULL,
    location=Level.FULL,
    contact_card=Level.FULL,
    buttons=Level.FULL,
    buttons_max=100,  # an inline keyboard holds 100
    button_id_max_bytes=64,  # callback_data: 1 to 64 bytes
    reaction=Level.FULL,
    quote=Level.FULL,
    edit=Level.FULL,
    delete=Level.FULL,
    typing=Typing(level=Level.FULL, ttl_s=5),
    # A bot never learns that its message was delivered or read: no `delivered_in`, no `read_in` here, and a single tick
    # is all that is true. Nor can it tell a customer that we read, unless it answers for a business account.
    receipts=Receipts(read_out_note=BUSINESS),
    # No reply window: a bot may always write to who has written to it first. A business account may for 24 hours only;
    # that is known when Telegram refuses, since one type of channel serves both.
    # Limits that Telegram names without promising them: 30 a second for a bot, 1 a second for a chat, short bursts.
    rate=Rate(per_second=25, per_peer_per_second=1, per_peer_burst=3),
)

CHANNEL_TYPE: Final = ChannelType(CHANNEL, "Telegram", CAPABILITIES, TelegramConfig)
