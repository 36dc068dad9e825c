"""Reports of mail servers and mail programs: what became of a mail that somebody sent.

Facts: RFC 3464 (delivery status), RFC 8098 (disposition, "was read"), RFC 3463 (enhanced status codes); many servers
write prose instead, which is searched for an address and a code.
"""

import email
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from flufl.bounce import all_failures

from connectors.email.bodies import letters_in
from connectors.email.headers import Headers, read_headers
from connectors.email.mime import Part
from shared.events import Bounce

Action = Literal["failed", "delayed", "delivered", "relayed", "expanded"]
ACTIONS: Final[tuple[Action, ...]] = ("failed", "delayed", "delivered", "relayed", "expanded")
GROUPS_MAX: Final = 50
PROSE_MAX: Final = 64 * 1024
SAID_MAX: Final = 300
LIBRARY_MAX: Final = 128 * 1024  # bytes that the library for strange bounces is given to read
STATUS: Final = re.compile(r"(?<![\d.])([245]\.\d{1,2}\.\d{1,3})(?![\d.])")
STATUS_LINE: Final = re.compile(r"^[ \t>*]*Status:\s*([245]\.\d{1,3}\.\d{1,3})", re.IGNORECASE | re.MULTILINE)
REPLY_CODE: Final = re.compile(r"(?<![\d.])(4[2-5]\d|5[05]\d)(?=[ \t-])")
FINAL: Final = re.compile(
    r"^[ \t>*]*(?:Final|Original)-Recipient:\s*(?:rfc822\s*;)?\s*<?([^\s<>;]+@[^\s<>;]+?)>?\s*$",
    re.IGNORECASE | re.MULTILINE,
)
NAMED: Final = re.compile(
    r"<([^\s<>@]{1,100}@[^\s<>@]{1,200})>\s*[:,.(]|"
    r"^[ \t]*(?:To|RCPT TO|Recipient|Address|Failed recipient)?\s*:?[ \t]*<?"
    r"([\w.+=-]{1,100}@[\w-]{1,100}\.[\w.-]{1,100})>?[ \t]*(?::|$|\.\.\.|,)",
    re.IGNORECASE | re.MULTILINE,
)
ANY_ADDRESS: Final = re.compile(r"(?<![\w.+-])([\w.+=-]{1,100}@[\w-]{1,100}(?:\.[\w-]{1,60})+)")
DIAGNOSTIC: Final = re.compile(
    r"(?:said|error|reason|response|причина|razlog|hata)\b[^\n]{0,20}:\s*([^\n]{5,300})", re.IGNORECASE
)
DELAYED: Final = re.compile(
    r"\bdelay|not yet been delivered|will (?:be )?(?:keep|continue|try)|still being tried|"
    r"warning: (?:message|could not)|"
    r"temporarily deferred|отложен|задерж|odgođen|privremeno|verzögert|retardé|retras",
    re.IGNORECASE,
)
SHIFTED: Final = re.compile(
    r"5\.\d{1,3}\.\d{1,3}|permanent|fatal|giving up|gave up|undeliverable|не удалось|nije isporuč"
)


@dataclass(frozen=True, slots=True)
class Report:
    """A report, of whatever kind. `named` are ids of the mail it is about, `envelope` the ENVID that we may have given.

    `displayed`: somebody opened the mail (a disposition report); then there is no `bounce`.
    """

    bounce: Bounce | None
    detail: str | None = None
    named: tuple[str, ...] = ()
    envelope: str | None = None
    displayed: bool = False


def read_disposition(root: Part) -> Report | None:
    """The report that a mail was opened, deleted or dealt with; None if this mail is no such report."""
    for part in root.walk():
        if part.mime == "message/disposition-notification":
            headers = read_headers(part.content())[0]
            disposition = (headers.get("disposition") or "").lower()
            named = tuple(headers.ids("original-message-id"))
            return Report(None, disposition or None, named, displayed="displayed" in disposition)
    return None


def read_delivery(root: Part, text: str) -> Report | None:
    """What a standard delivery report says of the worst of its recipients; None if this mail is none."""
    part = next((part for part in root.walk() if part.mime.endswith("delivery-status")), None)
    if part is None:
        return None
    groups = list(groups_of(part.content()[:PROSE_MAX]))
    if not groups:
        return None
    about = [group for group in groups if group.has("final-recipient") or group.has("original-recipient")
             or group.has("action") or group.has("status")]  # fmt: skip
    bounces = [(bounce_of(group), group) for group in about] or [(Bounce(), groups[0])]
    bounce, group = min(bounces, key=lambda pair: ACTIONS.index(pair[0].action))
    if bounce.recipient is None:
        bounce = bounce.model_copy(update={"recipient": recipient_in_prose(root, text)})
    if bounce.status is None:
        bounce = bounce.model_copy(update={"status": status_in(text)})
    detail = group.get("diagnostic-code") or said_in(text)
    return Report(bounce, shortened(detail), tuple(originals(root)), groups[0].get("original-envelope-id"))


def read_prose(root: Part, text: str) -> Report:
    """What a bounce without a standard report says, as far as it can be found."""
    recipient = recipient_in_prose(root, text)
    status = status_in(text)
    late = DELAYED.search(text[:4000]) is not None and SHIFTED.search(text[:4000]) is None
    action: Action = "delayed" if late or ((status or "").startswith("4") and late) else "failed"
    bounce = Bounce(recipient=recipient, status=status, action=action)
    return Report(bounce, shortened(said_in(text)), tuple(originals(root)) or tuple(ids_in(text)))


def groups_of(content: bytes) -> Iterator[Headers]:
    """The groups of fields of a delivery status: the first of the mail, then one for each recipient."""
    place, count = 0, 0
    while place < len(content) and count < GROUPS_MAX:
        headers, after = read_headers(content, place)
        if headers.fields:
            yield headers
            count += 1
        place = after if after > place else content.find(b"\n", place) + 1 or len(content)


def bounce_of(group: Headers) -> Bounce:
    action = (group.get("action") or "").lower().split(" ")[0].strip(";.")
    status = STATUS.search(group.get("status") or "") or STATUS.search(group.get("diagnostic-code") or "")
    known = next((one for one in ACTIONS if action.startswith(one)), None)
    if known is None:
        known = "delivered" if status and status[1].startswith("2") else "failed"
    address = address_in(group.get("final-recipient")) or address_in(group.get("original-recipient"))
    return Bounce(recipient=address, status=status[1] if status else None, action=known)


def address_in(value: str | None) -> str | None:
    """The address of a field such as `rfc822; anna@example.org`."""
    text = (value or "").rpartition(";")[2]
    found = re.search(r"[^\s<>\"']+@[^\s<>\"']+", text)
    return found.group().lower().rstrip(".,") if found else None


def recipient_in_prose(root: Part, text: str) -> str | None:
    for name in ("x-failed-recipients", "x-failed-recipient", "x-original-to-failed"):
        for box in root.headers.mailboxes(name):
            return box.address
    prose = prose_of(text)
    found = FINAL.search(prose)
    if found:
        return found[1].lower()
    own = {box.address for name in ("from", "to", "return-path", "reply-to") for box in root.headers.mailboxes(name)}
    named: list[str] = [one.lower() for pair in NAMED.findall(prose) for one in pair if one]
    first = next((one for one in named if one not in own and not is_postmaster(one)), None)
    if first is not None:
        return first
    told = by_library(root)
    if told is not None:
        return told
    for part in letters_in(root):  # the mail that came back says to whom it went
        boxes = read_headers(part.content())[0].mailboxes("to")
        if boxes:
            return boxes[0].address
    return next((one for one in map(str.lower, ANY_ADDRESS.findall(prose)) if one not in own), None)


def prose_of(text: str) -> str:
    """The beginning, with one blank where there are many and no endless lines: what is searched costs no more."""
    return "\n".join(re.sub(r"[ \t]{2,}", " ", line[:1000]) for line in text[:PROSE_MAX].split("\n"))


def by_library(root: Part) -> str | None:
    """What flufl.bounce finds, which knows the prose of many servers."""
    if len(root.raw) > LIBRARY_MAX or root.raw.count(b"\n--") > 60:
        return None
    try:
        found = [address for kind in reversed(all_failures(email.message_from_bytes(root.raw))) for address in kind]
    except Exception:  # it reads what strangers write, and may stumble over any of it
        return None
    for address in found:
        return bytes(address).decode("ascii", "replace").lower()
    return None


def is_postmaster(address: str) -> bool:
    return address.startswith(("mailer-daemon@", "postmaster@", "mdaemon@", "abuse@"))


def status_in(text: str) -> str | None:
    prose = text[:PROSE_MAX]
    found = STATUS_LINE.search(prose) or STATUS.search(prose)
    if found:
        return found[1]
    code = REPLY_CODE.search(prose)
    return f"{code[1][0]}.0.0" if code else None


def said_in(text: str) -> str | None:
    """The sentence of the server that refused."""
    prose = text[:PROSE_MAX]
    found = DIAGNOSTIC.search(prose)
    if found:
        return found[1]
    return next((line.strip() for line in prose.splitlines() if STATUS.search(line) or REPLY_CODE.search(line)), None)


def shortened(text: str | None) -> str | None:
    if text is None:
        return None
    plain = " ".join(text.split())
    return plain if len(plain) <= SAID_MAX else plain[: SAID_MAX - 1] + "…"


def originals(root: Part) -> Iterator[str]:
    """The Message-IDs of the mails that came back."""
    for part in letters_in(root):
        headers = read_headers(part.content())[0]
        yield from headers.ids("message-id")[:1]


def ids_in(text: str) -> Iterator[str]:
    """Message-IDs in the prose of a server that returns the mail as plain text."""
    for found in re.finditer(
        r"^[ \t>]*Message-ID:\s*<([^<>\s]{3,300})>", text[:PROSE_MAX], re.IGNORECASE | re.MULTILINE
    ):
        yield found[1]
