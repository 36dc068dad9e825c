"""What is left of plain text: the forms of mail programs in many languages, and what must not be taken for them."""

import pytest

from connectors.email.replies import visible_text

OLD = "The parcel leaves on Monday.\nYour lamp shop"
QUOTED = "> The parcel leaves on Monday.\n>\n> Your lamp shop"

INTRODUCTIONS = {
    "gmail en": "On Mon, Nov 23, 2026 at 10:15 AM Lamp Shop <hello@lamps.example> wrote:",
    "gmail en wrapped": "On Mon, Nov 23, 2026 at 10:15 AM Lamp Shop, Customer Service\n<hello@lamps.example> wrote:",
    "gmail en wrapped twice": "On Mon, Nov 23, 2026 at 10:15 AM Lamp Shop <\nhello@lamps.example>\nwrote:",
    "gmail ru": "пн, 23 нояб. 2026 г. в 10:15, Магазин ламп <hello@lamps.example>:",
    "gmail ru old": "23 ноября 2026 г., 10:15 пользователь Магазин <hello@lamps.example>\nнаписал:",
    "gmail hr": "pon, 23. stu 2026. u 10:15 Trgovina <hello@lamps.example> napisao je:",
    "gmail hr old": "Dana 23. studenoga 2026. 10:15 Trgovina <\nhello@lamps.example> je napisao/la:",
    "gmail sr": "23. новембар 2026. 10:15 Lampe <hello@lamps.example> је написао/ла:",
    "gmail sr latin": "Dana pon, 23. nov 2026. u 10:15 Lampe <hello@lamps.example> je napisala:",
    "gmail sl": "V V pon., 23. nov. 2026 ob 10:15 je oseba Lampe <hello@lamps.example> napisala:",
    "gmail de": "Am Mo., 23. Nov. 2026 um 10:15 Uhr schrieb Lampenladen <hello@lamps.example>:",
    "gmail fr": "Le lun. 23 nov. 2026 à 10:15, La Lampe <hello@lamps.example> a écrit :",
    "gmail es": "El lun, 23 nov 2026 a las 10:15, Lámparas (<hello@lamps.example>) escribió:",
    "gmail it": "Il giorno lun 23 nov 2026 alle ore 10:15 Lampade <hello@lamps.example> ha scritto:",
    "gmail pt": "Em seg., 23 de nov. de 2026 às 10:15, Lâmpadas <hello@lamps.example> escreveu:",
    "gmail nl": "Op ma 23 nov 2026 om 10:15 schreef Lampen <hello@lamps.example>:",
    "gmail sv": "Den mån 23 nov. 2026 kl 10:15 skrev Lampor <hello@lamps.example>:",
    "gmail no": "man. 23. nov. 2026 kl. 10:15 skrev Lamper <hello@lamps.example>:",
    "gmail da": "Den man. 23. nov. 2026 kl. 10.15 skrev Lamper <hello@lamps.example>:",
    "gmail pl": "pon., 23 lis 2026 o 10:15 Lampy <hello@lamps.example> napisał(a):",
    "gmail cs": "po 23. 11. 2026 v 10:15 odesílatel Lampy <hello@lamps.example> napsal:",
    "gmail iso": "2026-11-23 10:15 GMT+01:00 Lamp Shop <hello@lamps.example>:",
    "apple en": "On 23 Nov 2026, at 10:15, Lamp Shop <hello@lamps.example> wrote:",
    "apple ru": "23 нояб. 2026 г., в 10:15, Магазин <hello@lamps.example> написал(а):",
    "apple hr": "Dana 23. stu. 2026., u 10:15, Trgovina <hello@lamps.example> je napisao/la:",
    "apple de": "Am 23.11.2026 um 10:15 schrieb Lampenladen <hello@lamps.example>:",
    "thunderbird en": "On 11/23/26 10:15 AM, Lamp Shop wrote:",
    "thunderbird ru": "23.11.2026 10:15, Магазин ламп пишет:",
    "thunderbird hr": "Dana 23. 11. 2026. u 10:15, Trgovina je napisao/la:",
    "thunderbird fr": "Le 23/11/2026 à 10:15, La Lampe a écrit :",
    "yandex": '23.11.2026, 10:15, "Магазин ламп" <hello@lamps.example>:',
    "mail.ru": "Понедельник, 23 ноября 2026, 10:15 +03:00 от Магазин <hello@lamps.example>:",
    "mail.ru en": "Monday, 23 November 2026, 10:15 AM +0300 from hello@lamps.example <hello@lamps.example>:",
    "yahoo": "On Monday, November 23, 2026 at 10:15:12 AM GMT+1, Lamp Shop <hello@lamps.example> wrote:",
    "proton": "On Monday, November 23rd, 2026 at 10:15, Lamp Shop <hello@lamps.example> wrote:",
    "no date": "Lamp Shop <hello@lamps.example> wrote:",
    "zoho": "---- On Mon, 23 Nov 2026 10:15:00 +0100 Lamp Shop <hello@lamps.example> wrote ----",
}  # fmt: skip

BLOCKS = {
    "en": "From: Lamp Shop <hello@lamps.example>\nSent: Monday, 23 November 2026 10:15\nTo: Ana\nSubject: RE: lamp",
    "en bold": "*From:* Lamp Shop [mailto:hello@lamps.example]\n*Sent:* Monday\n*To:* Ana\n*Subject:* lamp",
    "en wrapped": "From: Lamp Shop\n<hello@lamps.example>\nSent: Monday\nTo: Ana\nSubject: lamp",
    "en line": "________________________________\nFrom: Lamp Shop\nSent: Monday\nTo: Ana\nSubject: lamp",
    "ru": "От: Магазин <hello@lamps.example>\nОтправлено: 23 ноября 2026 г. 10:15\nКому: Анна\nТема: лампа",
    "ru mail": "От кого: hello@lamps.example\nКому: anna@mail.example\nДата: Понедельник\nТема: лампа",
    "hr": "Šalje: Trgovina <hello@lamps.example>\nPoslano: ponedjeljak\nPrima: Ana\nPredmet: lampa",
    "hr od": "Od: Trgovina <hello@lamps.example>\nDatum: 23. 11. 2026.\nZa: ana@mail.example\nPredmet: lampa",
    "sr": "Od: Lampe\nPoslato: ponedeljak\nKome: Ana\nTema: lampa",
    "de": "Von: Lampenladen\nGesendet: Montag, 23. November 2026 10:15\nAn: Anna\nBetreff: AW: Lampe",
    "fr": "De : La Lampe <hello@lamps.example>\nEnvoyé : lundi 23 novembre 2026\nÀ : Anne\nObjet : lampe",
    "es": "De: Lámparas\nEnviado el: lunes\nPara: Ana\nAsunto: lámpara",
    "it": "Da: Lampade\nInviato: lunedì\nA: Anna\nOggetto: lampada",
    "pt": "De: Lâmpadas\nEnviada em: segunda-feira\nPara: Ana\nAssunto: lâmpada",
    "nl": "Van: Lampen\nVerzonden: maandag\nAan: Anna\nOnderwerp: lamp",
    "sv": "Från: Lampor\nSkickat: den 23 november\nTill: Anna\nÄmne: lampa",
    "da": "Fra: Lamper\nSendt: 23. november\nTil: Anna\nEmne: lampe",
    "pl": "Od: Lampy\nWysłano: poniedziałek\nDo: Anna\nTemat: lampa",
    "cs": "Od: Lampy\nOdesláno: pondělí\nKomu: Anna\nPředmět: lampa",
    "original": "-----Original Message-----\nFrom: Lamp Shop",
    "original de": "-----Ursprüngliche Nachricht-----\nVon: Lampenladen",
    "original ru": "-------- Исходное сообщение --------\nОт: Магазин",
    "original hr": "-------- Originalna poruka --------\nOd: Trgovina",
    "proton": "‐‐‐‐‐‐‐ Original Message ‐‐‐‐‐‐‐",
}  # fmt: skip

DEVICES = (
    "Sent from my iPhone", "Sent from my Galaxy S25, please excuse typos.",
    "Sent from Outlook for Android<https://aka.ms/x>",
    "Get Outlook for iOS<https://aka.ms/x>", "Sent from Yahoo Mail on Android", "Отправлено с iPhone",
    "Отправлено из мобильной Почты Mail.ru", "Отправлено из Яндекс Почты", "Poslano s mog iPhonea",
    "Poslano iz Outlooka",
    "Poslato sa mog Samsung telefona", "Von meinem iPhone gesendet", "Gesendet mit der GMX Mail App",
    "Envoyé de mon iPhone", "Enviado desde mi iPhone", "Enviado do meu iPhone", "Inviato da iPhone",
    "Verstuurd vanaf mijn iPhone", "Skickat från min iPhone", "Sendt fra min iPad",
    "Wysłane z iPhone'a", "Odesláno z iPhonu",
    "Preuzmite Outlook za iOS<https://aka.ms/x>",
)  # fmt: skip

SAID = (
    "Sent from my desk, is much easier than from the kitchen table.",
    "Poslano iz Splita u ponedjeljak, a još nije stiglo.",
    "Poslano s mog računa 50 EUR, molim potvrdu.",
    "Отправлено из Москвы три дня назад.",
    "Envoyé par la poste hier.",
    "Get my phone repaired or refund me.",
    "Od: 12.3.2026.\nDo: 15.3.2026.\nZa: dvije osobe",
    "Date: 5 December\nTime: 10:00\nAddress: Ilica 1",
    "On Monday your colleague told me:\ncome on Tuesday.",
    "You wrote:\nno delivery on Sunday. Why?",
    "LP za vinyl, 12 inča, imate li ga?",
    "Regards to your colleague, she was very helpful.",
    "Lamps:\n- one red\n- two blue",
    "-----\nRed lamp, broken\nBlue lamp, missing\n-----",
    "Order 4711 -- the red one -- is missing.",
)


@pytest.mark.parametrize("introduction", INTRODUCTIONS.values(), ids=INTRODUCTIONS)
@pytest.mark.parametrize("below", [QUOTED, f"\n{QUOTED}"], ids=["close", "apart"])
def test_the_line_that_introduces_a_quote_goes_with_it(introduction: str, below: str) -> None:
    assert visible_text(f"Yes, please.\n\n{introduction}\n{below}\n") == "Yes, please."


@pytest.mark.parametrize("name", [name for name in INTRODUCTIONS if not name.startswith("thunderbird ru")])
def test_what_follows_an_introduction_without_signs_is_old(name: str) -> None:
    assert visible_text(f"Yes, please.\n\n{INTRODUCTIONS[name]}\n\n{OLD}\n") == "Yes, please."


@pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS)
def test_the_header_of_an_older_mail_ends_the_message(block: str) -> None:
    assert visible_text(f"Danke!\n\n{block}\n\n{OLD}\n") == "Danke!"


@pytest.mark.parametrize("device", DEVICES)
def test_what_phones_add_is_left_out(device: str) -> None:
    assert visible_text(f"Is it blue?\n\n{device}\n") == "Is it blue?"
    assert visible_text(f"Is it blue?\n\n{device}\n\n{INTRODUCTIONS['apple en']}\n\n{QUOTED}") == "Is it blue?"


@pytest.mark.parametrize("said", SAID)
def test_what_only_looks_like_it_is_kept(said: str) -> None:
    text = f"Hello,\n\n{said}\n\nThank you"
    assert visible_text(text) == text


@pytest.mark.parametrize("line", ["-- ", "--", "—", "__"])
def test_a_signature_below_its_line_is_left_out(line: str) -> None:
    assert visible_text(f"It is broken.\n{line}\nAna Horvat\nLampe d.o.o.\n") == "It is broken."


@pytest.mark.parametrize(
    "closing", ["Best regards,", "С уважением,", "Srdačan pozdrav,", "LP", "Mit freundlichen Grüßen"]
)
def test_a_closing_goes_only_with_particulars(closing: str) -> None:
    assert (
        visible_text(f"It is broken.\n\n{closing}\nAna Horvat\nwww.horvat.example\n+385 91 555 01 23")
        == "It is broken."
    )
    named = f"It is broken.\n\n{closing}\nAna Horvat"
    assert visible_text(named) == named


def test_a_wish_below_a_closing_is_kept() -> None:
    text = "It is broken.\n\nBest regards,\nAna\n\nPlease call me under 091 555 0123 before Friday."
    assert visible_text(text) == text


def test_a_postscript_below_a_signature_is_kept() -> None:
    assert visible_text("Fine.\n\nSent from my iPhone\n\nP.S. The blue one.") == "Fine.\n\nP.S. The blue one."


def test_an_answer_below_the_quote_is_kept_alone() -> None:
    assert visible_text(f"{INTRODUCTIONS['gmail en']}\n{QUOTED}\n\nMonday is fine.\n") == "Monday is fine."


def test_answers_between_quotes_keep_what_they_answer() -> None:
    text = f"{INTRODUCTIONS['gmail en']}\n> Red?\n\nBlue.\n\n> Monday?\n\nTuesday.\n\n> Your shop"
    assert visible_text(text) == "> Red?\n\nBlue.\n\n> Monday?\n\nTuesday."


def test_a_quote_of_the_persons_own_choice_is_kept() -> None:
    text = "> free of charge\n\nThat is what you promised."
    assert visible_text(text) == text


def test_a_quoted_line_that_was_broken_is_still_quoted() -> None:
    long = "> We regret that the lamp which you have ordered in our shop will not be\navailable before March,\n> sorry"
    assert visible_text(f"A pity.\n\n{INTRODUCTIONS['gmail en']}\n{long}") == "A pity."


@pytest.mark.parametrize(
    "separator",
    [
        "---------- Forwarded message ---------",
        "-------- Пересылаемое сообщение --------",
        "---------- Proslijeđena poruka ---------",
        "Anfang der weitergeleiteten Nachricht:",
    ],
)
def test_a_forwarded_mail_is_part_of_a_message_that_says_little_else(separator: str) -> None:
    forwarded = f"{separator}\nFrom: Post <post@post.example>\nSubject: Parcel\n\nYour parcel is lost.\n\n-- \nPost"
    assert visible_text(forwarded) == forwarded
    assert visible_text(f"See below.\n\n{forwarded}") == f"See below.\n\n{forwarded}"
    above = "You said that the lamp was sent last week. The post says something else, and I want my money back."
    assert visible_text(f"{above}\n\n{forwarded}") == above


@pytest.mark.parametrize(
    "text", [QUOTED, BLOCKS["en"], "-- \nAna", "Sent from my iPhone", "-----Original Message-----\nx"]
)
def test_a_mail_of_nothing_else_is_shown_whole(text: str) -> None:
    assert visible_text(f"\n\n{text}\n") == text


def test_line_ends_of_windows_are_read() -> None:
    assert visible_text("Yes.\r\n\r\n-- \r\nAna\r\n") == "Yes."
