"""What a person wrote in a mail, apart from the history below it and the signature. Not for sanitising."""

from connectors.email.replies.html import visible_html
from connectors.email.replies.page import html_to_text
from connectors.email.replies.text import visible_text

__all__ = ["html_to_text", "visible_html", "visible_text"]
