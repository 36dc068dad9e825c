"""What WhatsApp can do. Data, not code."""

from typing import Final

from connectors.whatsapp.config import WhatsAppConfig
from shared.capabilities import Capabilities, Level, MediaRule, Rate, Receipts, ReplyWindow, Typing
from shared.connector import ChannelType

CHANNEL: Final = "whatsapp"
TEXT_MAX: Final = 4096
FILE_MAX_BYTES: Final = 100_000_000  # of a document, which is how everything goes that has no form of its own
STICKER_MAX_BYTES: Final = 500_000
ABOVE_BUTTONS_MAX: Final = 1024
LABEL_MAX: Final = 24  # of a row in a list; reply buttons hold 20
OPTION_ID_MAX_BYTES: Final = 200

FILE: Final = MediaRule(level=Level.FULL, max_bytes=FILE_MAX_BYTES, caption_max=TEXT_MAX)

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
    album=Level.FALLBACK,  # one message for each
    location=Level.FULL,
    contact_card=Level.FULL,
    buttons=Level.FULL,
    buttons_max=10,  # rows of a list; up to three are buttons
    buttons_text_max=ABOVE_BUTTONS_MAX,
    button_label_max=LABEL_MAX,
    button_id_max_bytes=OPTION_ID_MAX_BYTES,
    template=Level.FULL,
    reaction=Level.FULL,
    quote=Level.FULL,
    # No `edit` and no `delete`: customers can do both, the API can neither.
    # One call marks as read and shows that we type: whoever begins to type tells the customer that it was read.
    typing=Typing(level=Level.FULL, ttl_s=25, implies_read=True),
    # `delivered` is left out where the chat was open, and `read` never comes from whoever has turned it off.
    receipts=Receipts(delivered_in="message", read_in="message", read_out="watermark"),
    reply_window=ReplyWindow(hours=24, template=True),
    # 80 a second for a number, 20 where the phone app is used beside the API; one in 6 s to one person, 45 at once.
    rate=Rate(per_second=80, per_peer_per_second=1 / 6, per_peer_burst=45),
)

CHANNEL_TYPE: Final = ChannelType(CHANNEL, "WhatsApp", CAPABILITIES, WhatsAppConfig, account="phone_number_id")
