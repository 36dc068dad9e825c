"""The subject without what replies and forwards put before it, so that it tells one matter from another."""

import re
from typing import Final

# Of mail programs in the languages of Europe.
REPLY: Final = (
    r"re|aw|antw|antwort|antword|sv|vs|rv|res|resp|rif|odp|odg|odgovor|ynt|vá|ha|на|отв|ответ|re\s*:\s*re|回复|答复|"
    r"automatic reply|autosvar|automatische antwort|réponse automatique|respuesta automática|автоответ|"
    r"automatski odgovor|out of office|abwesend|prečítané|read|gelesen|lu|прочитано|pročitano|leído"
)
FORWARD: Final = r"fwd?|wg|tr|rv|enc|i|vb|doorst|vl|pd|прсл|пересл|пересл\.|fw|prosl|proslj|prosljeđeno|転送"
PREFIX: Final = re.compile(
    rf"^\s*(?:(?P<reply>{REPLY})|(?:{FORWARD}))\s*(?:\[\d+\]|\(\d+\)|\^\d+)?\s*[:：]\s*", re.IGNORECASE
)
TAG: Final = re.compile(r"^\s*\[(?:external|extern|ext|spam|\W*spam\W*|#?\d+|[^\]\s]{1,20}#\d+)\]\s*", re.IGNORECASE)
TOPIC_MAX: Final = 300


def topic_of(subject: str | None) -> str:
    """What the mail is about, for comparing; empty if it does not say."""
    return read_subject(subject)[0]


def read_subject(subject: str | None) -> tuple[str, bool]:
    """The topic, and whether the subject says that this is a reply."""
    text, answers = subject or "", False
    for _ in range(20):
        found = PREFIX.match(text) or TAG.match(text)
        if found is None:
            break
        answers = answers or bool(found.groupdict().get("reply"))
        text = text[found.end() :]
    return re.sub(r"\s+", " ", text).strip().casefold()[:TOPIC_MAX], answers


def reply_subject(subject: str | None) -> str:
    """The subject of our answer."""
    text = re.sub(r"\s+", " ", subject or "").strip()
    return text if read_subject(text)[1] or not text else f"Re: {text}"
