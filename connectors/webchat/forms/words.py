"""Everything that a contact form says, by language. Another language is one more entry in `LANGUAGES`. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from connectors.webchat.forms.form import Form, Handle, Way

ENGLISH: Final = "en"
ACCEPT_MAX: Final = 500  # characters of Accept-Language that are read
MESSENGERS: Final[Mapping[str, str]] = {
    "facebook": "Messenger",
    "instagram": "Instagram",
    "line": "LINE",
    "max": "MAX",
    "messenger": "Messenger",
    "signal": "Signal",
    "telegram": "Telegram",
    "threema": "Threema",
    "viber": "Viber",
    "vk": "VK",
    "wechat": "WeChat",
    "whatsapp": "WhatsApp",
}


@dataclass(frozen=True, slots=True)
class Words:
    """One language. `hours` are the form for one and the form for more, as `is_one` counts, after "within"."""

    expect: str
    please: str
    otherwise: str
    email: str
    phone: str
    messenger: str
    some_messenger: str
    hours: tuple[str, str]
    is_one: Callable[[int], bool]
    subject: str
    name: str
    reference: str


def exactly_one(n: int) -> bool:
    return n == 1


LANGUAGES: Final[Mapping[str, Words]] = {
    ENGLISH: Words(
        expect="Thank you. We answer {how}, usually within {hours}.",
        please="Please answer {how}: {where}",
        otherwise="Or {how}: {where}",
        email="by e-mail",
        phone="by phone",
        messenger="in {messenger}",
        some_messenger="in a messenger",
        hours=("{n} hour", "{n} hours"),
        is_one=exactly_one,
        subject="Message from the site",
        name="Name: {name}",
        reference="Reference: {reference}",
    ),
    "ru": Words(
        expect="Спасибо. Мы ответим {how}, обычно в течение {hours}.",
        please="Пожалуйста, ответьте {how}: {where}",
        otherwise="Или {how}: {where}",
        email="по электронной почте",
        phone="по телефону",
        messenger="в {messenger}",
        some_messenger="в мессенджере",
        hours=("{n} часа", "{n} часов"),
        is_one=lambda n: n % 10 == 1 and n % 100 != 11,
        subject="Сообщение с сайта",
        name="Имя: {name}",
        reference="Номер обращения: {reference}",
    ),
    "hr": Words(
        expect="Hvala. Odgovaramo {how}, obično u roku od {hours}.",
        please="Molimo odgovorite {how}: {where}",
        otherwise="Ili {how}: {where}",
        email="e-poštom",
        phone="telefonom",
        messenger="putem aplikacije {messenger}",
        some_messenger="putem aplikacije za poruke",
        hours=("{n} sata", "{n} sati"),
        is_one=lambda n: 1 <= n % 10 <= 4 and not 11 <= n % 100 <= 14,
        subject="Poruka s web-stranice",
        name="Ime: {name}",
        reference="Oznaka: {reference}",
    ),
    "de": Words(
        expect="Danke. Wir antworten {how}, in der Regel innerhalb von {hours}.",
        please="Bitte antworten Sie {how}: {where}",
        otherwise="Oder {how}: {where}",
        email="per E-Mail",
        phone="telefonisch",
        messenger="über {messenger}",
        some_messenger="über einen Messenger",
        hours=("{n} Stunde", "{n} Stunden"),
        is_one=exactly_one,
        subject="Nachricht von der Website",
        name="Name: {name}",
        reference="Referenz: {reference}",
    ),
    "fr": Words(
        expect="Merci. Nous répondons {how}, en général sous {hours}.",
        please="Merci de répondre {how} : {where}",
        otherwise="Ou {how} : {where}",
        email="par e-mail",
        phone="par téléphone",
        messenger="sur {messenger}",
        some_messenger="par messagerie",
        hours=("{n} heure", "{n} heures"),
        is_one=lambda n: n < 2,
        subject="Message depuis le site",
        name="Nom : {name}",
        reference="Référence : {reference}",
    ),
    "es": Words(
        expect="Gracias. Respondemos {how}, normalmente en un plazo de {hours}.",
        please="Por favor, respondan {how}: {where}",
        otherwise="O {how}: {where}",
        email="por correo electrónico",
        phone="por teléfono",
        messenger="por {messenger}",
        some_messenger="por mensajería",
        hours=("{n} hora", "{n} horas"),
        is_one=exactly_one,
        subject="Mensaje desde el sitio web",
        name="Nombre: {name}",
        reference="Referencia: {reference}",
    ),
}


def choose_language(wanted: str | None, accept: str) -> str | None:
    """The first that we speak: of the form, then of the browser (RFC 9110, 12.5.4); None if there is none."""
    return next((code for code in [primary(wanted or ""), *by_liking(accept)] if code in LANGUAGES), None)


def by_liking(accept: str) -> list[str]:
    liked = [(-weight(part), primary(part)) for part in accept[:ACCEPT_MAX].split(",")]
    return [code for dislike, code in sorted(liked, key=lambda one: one[0]) if dislike < 0]


def primary(tag: str) -> str:
    return tag.split(";", 1)[0].strip().split("-", 1)[0].lower()


def weight(part: str) -> float:
    _, _, q = part.replace(" ", "").partition(";q=")
    try:
        return float(q) if q else 1.0
    except ValueError:
        return 0.0


def expect(language: str, form: Form, within_h: int) -> str:
    """What the sender may expect. Nothing in it was typed."""
    words = LANGUAGES[language]
    one, more = words.hours
    hours = (one if words.is_one(within_h) else more).format(n=within_h)
    return words.expect.format(how=how(words, form.ways[0], known_messenger(form.handle)), hours=hours)


def known_messenger(handle: Handle | None) -> str | None:
    return MESSENGERS.get((handle.messenger or "").lower()) if handle else None


def how(words: Words, way: Way, messenger: str | None) -> str:
    match way:
        case "email":
            return words.email
        case "phone":
            return words.phone
        case "messenger":
            return words.messenger.format(messenger=messenger) if messenger else words.some_messenger


def subject(language: str, reference: str) -> str:
    return f"{LANGUAGES[language].subject} [{reference}]"


def in_a_mail(language: str, form: Form) -> str:
    """The text, and where else the sender can be reached."""
    return under(form.text, [where(language, form, way, first=False) for way in form.ways if way != "email"])


def in_the_chat(language: str, form: Form, reference: str) -> str:
    """The text, and what whoever answers it has to know."""
    words = LANGUAGES[language]
    lines = [where(language, form, way, first=way == form.ways[0]) for way in form.ways]
    if form.name:
        lines.append(words.name.format(name=form.name))
    return under(form.text, [*lines, words.reference.format(reference=reference)])


def where(language: str, form: Form, way: Way, *, first: bool) -> str:
    words, handle = LANGUAGES[language], form.handle
    messenger = known_messenger(handle) or (handle.messenger if handle else None)
    typed = {"email": form.email, "phone": form.phone, "messenger": handle.name if handle else None}
    template = words.please if first else words.otherwise
    return template.format(how=how(words, way, messenger), where=typed[way])


def under(text: str, lines: list[str]) -> str:
    return "\n\n".join([text, "\n".join(lines)]) if lines else text
