"""Which mails a machine wrote: they are kept and shown, and nothing answers them by itself.

Facts: RFC 3834 (Auto-Submitted), RFC 2369 and 2919 (List-*), RFC 3464 and 8098 (reports); Exchange and others have
fields of their own, and some only say so in the subject.
"""

import re
from typing import Final

from connectors.email.headers import Headers
from connectors.email.mime import Part
from shared.events import MailClass

REPORTERS: Final = re.compile(
    r"^(?:mailer-?daemon|post_?master|mail-?daemon|maildaemon|mdaemon|mailsubsystem|mail delivery|microsoftexchange\w*|"
    r"delivery-status|postmast|bounce|bounces|mailerdaemon|mmdf|noreply\S*bounce\S*|aol_?mail|amsd)(?=[@+]|$)",
    re.IGNORECASE,
)
REPORTER_NAMES: Final = re.compile(
    r"mail(er)?[ -]?delivery|mail(er)?[ -]?daemon|postmaster|system administrator|mail administrator|"
    r"delivery (sub)?system",
    re.IGNORECASE,
)
RETURNED: Final = re.compile(
    r"undeliver|delivery[ -]?(status|fail|report|problem|unsuccess|notif|has failed|incomplete|delay|error)|"
    r"returned mail|"
    r"return(ed)? to sender|mail(er)? (delivery|error|system error|status|could not)|failure notice|"
    r"fail(ed|ure).*deliver|"
    r"could ?n[o']t be delivered|cannot be delivered|not delivered|non[- ]?deliver|message (delay|status|you sent)|"
    r"delayed mail|user unknown|warning: (message|could not)|nondeliver|bounce|"
    r"недостав|не доставлен|сообщение не|ошибка доставки|возвращ|nije isporuč|neisporuč|obavijest o isporuci|"
    r"error sending|メールエラー|unzustellbar|zustellung|non remis|échec|no se (pudo|puede) entregar|エラー|送信|配信",
    re.IGNORECASE,
)
# By the subject alone only where it has the form of a program's: "Absence de facture" is written by a person.
AWAY: Final = re.compile(
    r"^\W*(?:(?:automatic reply|auto(?:matic)?[ -]?(?:reply|response|responder|answer)|autoreply|"
    r"out of (?:the )?office|"
    r"vacation(?: reply| response)?|автоответ(?:чик)?|автоматический ответ|automatski odgovor|izvan ureda|"
    r"automatische antwort|abwesenheit(?:snotiz)?|abwesend|réponse automatique|absence du bureau|respuesta automática|"
    r"fuera de (?:la )?oficina|risposta automatica|fuori sede|resposta automática|automatiskt svar|autosvar|"
    r"automatisch antwoord|afwezig)\s*(?:[:：(–-]|$)|i am away|i'm away|i am out of)",
    re.IGNORECASE,
)
SUPPRESS: Final = "x-auto-response-suppress"  # Exchange: whoever writes it wants no answer of a machine
MULTI: Final = re.IGNORECASE | re.MULTILINE
ROBOTS: Final = re.compile(r"^(no[-_.]?reply|do[-_.]?not[-_.]?reply|noreply)[\w.+-]*@", re.IGNORECASE)


def category_of(root: Part) -> MailClass:
    """The kind of writer, by the fields of the head and the form of the mail."""
    headers = root.headers
    subject = headers.get("subject") or ""
    sender, name = signed_by(headers)
    if is_disposition(root):
        return MailClass.AUTO_REPLY
    if is_bounce(root, sender, name, subject):
        return MailClass.BOUNCE
    if is_reply_of_a_machine(headers, subject):
        return MailClass.AUTO_REPLY
    if headers.has("list-id") or headers.has("list-post"):
        return MailClass.LIST
    if is_bulk(headers) or ROBOTS.match(sender):
        return MailClass.BULK
    return MailClass.NORMAL


def signed_by(headers: Headers) -> tuple[str, str | None]:
    """The address and name under which it came, empty where there is none."""
    box = next((box for name in ("from", "sender") for box in headers.mailboxes(name)), None)
    return (box.address, box.name) if box else ("", None)


def is_disposition(root: Part) -> bool:
    return any(part.mime == "message/disposition-notification" for part in root.walk())


def is_bounce(root: Part, sender: str, name: str | None, subject: str) -> bool:
    if any(part.mime.endswith("delivery-status") for part in root.walk()):
        return True
    if root.headers.has("x-failed-recipients"):
        return True
    reporter = bool(REPORTERS.match(sender) or REPORTER_NAMES.search(name or ""))
    nobody = (root.headers.get("return-path") or "").replace(" ", "") == "<>"
    if AWAY.match(subject) and not RETURNED.search(subject):
        return False
    if reporter and (nobody or headers_name_an_error(root)):
        return True
    return bool((reporter or nobody or ROBOTS.match(sender)) and RETURNED.search(subject))


def headers_name_an_error(root: Part) -> bool:
    """Whether it begins like a report, whatever its subject."""
    return (
        re.search(rb"^\s*(?:error|this is the mail system|failed|undeliver)", root.raw[root.start :][:4096], MULTI)
        is not None
    )


def is_reply_of_a_machine(headers: Headers, subject: str) -> bool:
    submitted = (headers.get("auto-submitted") or "no").lower().split(";")[0].strip()
    if submitted not in ("no", "") and submitted != "auto-generated":
        return True
    if any(headers.has(name) for name in ("x-autoreply", "x-autorespond", "x-autoresponse", "x-auto-response")):
        return True
    if (headers.get("precedence") or "").lower().strip() in ("auto_reply", "auto-reply"):
        return True
    if headers.has(SUPPRESS) and headers.has("in-reply-to"):
        return True
    if submitted == "auto-generated" and not (headers.has("list-id") or headers.has("list-unsubscribe")):
        return True
    return AWAY.match(subject) is not None


def is_bulk(headers: Headers) -> bool:
    """Sent to many, or by a program that wants no answer from one."""
    if (headers.get("precedence") or "").lower().strip() in ("bulk", "junk", "list"):
        return True
    return any(headers.has(name) for name in ("list-unsubscribe", "feedback-id", "list-help", SUPPRESS))
