"""What mail programs write around a reply, by language. Data, not code; `marks.py` makes patterns of it."""

from collections.abc import Mapping
from typing import Final

# Labels of the block above a quoted mail ("From: ... Sent: ... To: ... Subject: ..."), by language and role.
HEADERS: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "en": {
        "from": ("from", "sender"),
        "date": ("sent", "date", "sent at"),
        "to": ("to",),
        "subject": ("subject",),
        "other": ("cc", "bcc", "reply-to", "importance", "attachments", "organization"),
    },
    "ru": {
        "from": ("от", "от кого", "отправитель"),
        "date": ("отправлено", "дата", "послано"),
        "to": ("кому", "получатель"),
        "subject": ("тема",),
        "other": ("копия", "cc", "важность"),
    },
    "uk": {
        "from": ("від", "від кого"),
        "date": ("надіслано", "дата"),
        "to": ("кому",),
        "subject": ("тема",),
        "other": ("копія",),
    },
    "hr": {
        "from": ("šalje", "od", "pošiljatelj", "pošiljalac", "pošiljaoc"),
        "date": ("poslano", "datum", "poslato", "vrijeme", "vreme"),
        "to": ("prima", "za", "primatelj", "primalac", "prima za", "kome"),
        "subject": ("predmet", "naslov", "tema", "subjekt"),
        "other": ("kopija", "cc", "kopija za"),
    },
    "sl": {
        "from": ("od", "pošiljatelj"),
        "date": ("poslano", "datum"),
        "to": ("za", "prejemnik"),
        "subject": ("zadeva",),
        "other": ("kp",),
    },
    "de": {
        "from": ("von",),
        "date": ("gesendet", "datum", "gesendet am"),
        "to": ("an",),
        "subject": ("betreff",),
        "other": ("cc", "kopie", "antwort an"),
    },
    "fr": {
        "from": ("de", "expéditeur"),
        "date": ("envoyé", "envoyé le", "date", "message du", "date d'envoi"),
        "to": ("à", "a", "pour", "destinataire"),
        "subject": ("objet", "sujet"),
        "other": ("cc", "copie", "copie à", "répondre à"),
    },
    "es": {
        "from": ("de",),
        "date": ("enviado", "enviado el", "fecha"),
        "to": ("para", "a"),
        "subject": ("asunto",),
        "other": ("cc", "responder a"),
    },
    "it": {
        "from": ("da", "mittente"),
        "date": ("inviato", "data"),
        "to": ("a", "destinatario"),
        "subject": ("oggetto",),
        "other": ("cc", "rispondi a"),
    },
    "pt": {
        "from": ("de",),
        "date": ("enviado", "enviada em", "enviado em", "enviada", "data"),
        "to": ("para",),
        "subject": ("assunto",),
        "other": ("cc",),
    },
    "nl": {
        "from": ("van",),
        "date": ("verzonden", "datum"),
        "to": ("aan",),
        "subject": ("onderwerp",),
        "other": ("cc", "kopie"),
    },
    "sv": {
        "from": ("från",),
        "date": ("skickat", "datum"),
        "to": ("till",),
        "subject": ("ämne",),
        "other": ("kopia", "cc"),
    },
    "da": {"from": ("fra",), "date": ("sendt", "dato"), "to": ("til",), "subject": ("emne",), "other": ("cc", "kopi")},
    "fi": {
        "from": ("lähettäjä",),
        "date": ("lähetetty", "päivämäärä"),
        "to": ("vastaanottaja",),
        "subject": ("aihe",),
        "other": ("kopio",),
    },
    "pl": {
        "from": ("od", "nadawca"),
        "date": ("wysłano", "wysłane", "data"),
        "to": ("do", "adresat"),
        "subject": ("temat",),
        "other": ("dw", "cc", "kopia"),
    },
    "cs": {
        "from": ("od", "odosielateľ", "odesílatel"),
        "date": ("odesláno", "odoslané", "datum", "dátum"),
        "to": ("komu", "pro", "příjemce"),
        "subject": ("předmět", "predmet"),
        "other": ("kopie", "kópia"),
    },
    "hu": {
        "from": ("feladó",),
        "date": ("küldve", "elküldve", "dátum"),
        "to": ("címzett",),
        "subject": ("tárgy",),
        "other": ("másolatot kap",),
    },
    "ro": {
        "from": ("de la",),
        "date": ("trimis", "data"),
        "to": ("către", "catre"),
        "subject": ("subiect",),
        "other": ("cc",),
    },
    "tr": {
        "from": ("kimden", "gönderen"),
        "date": ("gönderildi", "tarih"),
        "to": ("kime",),
        "subject": ("konu",),
        "other": ("bilgi",),
    },
    "zh": {
        "from": ("发件人", "寄件者", "寄件人"),
        "date": ("发送时间", "日期", "寄件日期", "傳送時間", "发送日期", "时间"),
        "to": ("收件人", "收件者"),
        "subject": ("主题", "主旨"),
        "other": ("抄送", "副本"),
    },
    "ja": {
        "from": ("差出人", "送信者"),
        "date": ("送信日時", "日付", "送信日"),
        "to": ("宛先",),
        "subject": ("件名",),
        "other": ("cc",),
    },
}

# The verb at the end of "On <date>, <name> wrote:".
WROTE: Final[Mapping[str, tuple[str, ...]]] = {
    "en": ("wrote", "writes"),
    "ru": ("пишет", "писал", "писала", "написал", "написала", "написал(а)", "написало", "написали"),
    "uk": ("пише", "написав", "написав(ла)", "написала"),
    "hr": ("napisao", "napisala", "napisao/la", "napisao(la)", "napisali", "napisao je", "napisala je", "piše"),
    "bs": ("napisao/la je", "napisao(la) je", "napisali su", "pišu"),
    "sr": ("написао", "написала", "написао/ла", "је написао", "пише"),
    "sl": ("napisal", "napisala", "napisal/a", "pisal"),
    "de": ("schrieb", "geschrieben", "schreibt"),
    "fr": ("a écrit", "a ecrit", "écrit"),
    "es": ("escribió", "escribio", "ha escrito"),
    "it": ("ha scritto", "scrive"),
    "pt": ("escreveu",),
    "nl": ("schreef", "geschreven"),
    "sv": ("skrev", "skriver"),
    "fi": ("kirjoitti",),
    "pl": ("napisał(a)", "napisał", "napisała", "pisze"),
    "cs": ("napsal", "napsala", "napsal(a)", "napísal", "napísal(a)"),
    "hu": ("írta",),
    "ro": ("a scris",),
    "tr": ("yazdı",),
    "el": ("έγραψε",),
    "vi": ("đã viết",),
    "zh": ("写道", "寫道"),
    "ko": ("작성", "님이 작성"),
}
# Where the name comes last.
WROTE_BEFORE_NAME: Final = (" schrieb ", " schreibt ", " schreef ", " skrev ", " skriver ")

# How such a line begins, before the date.
ON: Final = (
    "on", "at", "am", "um", "le", "el", "il", "il giorno", "em", "no dia", "op", "den", "på", "w dniu", "dnia", "dana",
    "u", "dne", "dňa", "v", "в", "от", "pe", "în", "la data", "στις", "vào", "ke",
)  # fmt: skip

# What stands before the sender where there is no verb ("Mon, 23 Nov 2026 10:15 +0300 from <...>:").
FROM: Final = ("from", "от", "від", "von", "de", "da", "od", "van", "fra", "från")

# Between dashes; everything below is history.
ORIGINAL: Final[Mapping[str, tuple[str, ...]]] = {
    "en": ("original message", "original email", "original mail", "original appointment", "reply message"),
    "ru": ("исходное сообщение", "оригинальное сообщение", "исходное письмо"),
    "uk": ("вихідне повідомлення", "початкове повідомлення"),
    "hr": ("izvorna poruka", "originalna poruka"),
    "sr": ("изворна порука", "оригинална порука"),
    "sl": ("izvorno sporočilo", "originalno sporočilo"),
    "de": ("ursprüngliche nachricht", "originalnachricht", "original-nachricht", "originalmail", "urspr. nachricht"),
    "fr": ("message d'origine", "message d’origine", "message original", "message initial"),
    "es": ("mensaje original",),
    "it": ("messaggio originale",),
    "pt": ("mensagem original",),
    "nl": ("oorspronkelijk bericht", "oorspronkelijke bericht", "origineel bericht"),
    "sv": ("originalmeddelande", "ursprungligt meddelande"),
    "da": ("oprindelig meddelelse", "oprindelig besked"),
    "no": ("opprinnelig melding", "original melding"),
    "fi": ("alkuperäinen viesti",),
    "pl": ("oryginalna wiadomość", "wiadomość oryginalna"),
    "cs": ("původní zpráva", "původní e-mail", "pôvodná správa"),
    "hu": ("eredeti üzenet",),
    "ro": ("mesaj original", "mesajul original"),
    "tr": ("orijinal mesaj", "orijinal ileti", "özgün ileti"),
    "zh": ("原始邮件", "邮件原件", "原始郵件"),
    "ja": ("元のメッセージ",),
}

# Between dashes, or alone on a line with a colon; what is below is what the person sends on.
FORWARDED: Final[Mapping[str, tuple[str, ...]]] = {
    "en": ("forwarded message", "begin forwarded message", "forwarded email"),
    "ru": (
        *("пересылаемое сообщение", "перенаправленное сообщение", "пересланное сообщение", "пересланное письмо"),
        *("начало переадресованного сообщения", "начало переадресуемого сообщения"),
    ),
    "uk": ("переслане повідомлення", "початок переспрямованого повідомлення"),
    "hr": ("proslijeđena poruka", "prosljeđena poruka", "početak proslijeđene poruke", "početak prosljeđene poruke"),
    "sr": ("prosleđena poruka", "проследјена порука", "прослеђена порука", "početak prosleđene poruke"),
    "sl": ("posredovano sporočilo",),
    "de": (
        *("weitergeleitete nachricht", "anfang der weitergeleiteten nachricht"),
        *("anfang der weitergeleiteten e-mail", "beginn der weitergeleiteten nachricht"),
    ),
    "fr": ("message transféré", "message transmis", "début du message réexpédié", "début du message transféré"),
    "es": ("mensaje reenviado", "inicio del mensaje reenviado"),
    "it": ("messaggio inoltrato", "inizio messaggio inoltrato"),
    "pt": ("mensagem encaminhada", "mensagem reencaminhada", "início da mensagem encaminhada"),
    "nl": ("doorgestuurd bericht", "begin doorgestuurd bericht"),
    "sv": ("vidarebefordrat meddelande", "vidarebefordrat brev", "vidarebefordrat mejl"),
    "da": ("videresendt meddelelse", "videresendt besked", "start på videresendt besked"),
    "no": ("videresendt melding", "videresendt e-post", "start på videresendt melding"),
    "fi": ("välitetty viesti",),
    "pl": ("wiadomość przekazana dalej", "przekazana wiadomość", "początek przekazywanej wiadomości"),
    "cs": ("přeposlaná zpráva", "začátek přeposílané zprávy", "preposlaná správa"),
    "hu": ("továbbított üzenet",),
    "ro": ("mesaj redirecționat",),
    "tr": ("iletilmiş mesaj", "iletilen mesaj", "yönlendirilmiş mesaj"),
    "zh": ("转发的邮件", "轉寄郵件"),
    "ja": ("転送されたメッセージ",),
}

# What phones and programs put below. `SENT_FROM_MY` begins such a line by itself, `SENT_BY` only with the name of a
# program or machine in it: "Poslano iz Splita" and "Sent by post" are about parcels.
SENT_FROM_MY: Final = ("sent from my", "sent via my", "sent using my", "sent on my", "this message was sent from my")
SENT_BY: Final[Mapping[str, tuple[str, ...]]] = {
    "en": ("sent from", "sent via", "sent with", "sent using", "sent through", "this email was sent from"),
    "ru": ("отправлено с", "отправлено из", "отправлено через", "послано с", "послано из"),
    "uk": ("надіслано з", "відправлено з"),
    "hr": ("poslano iz", "poslano s", "poslano sa", "poslano putem", "poslano pomoću", "poslano preko"),
    "sr": ("poslato iz", "poslato s", "poslato sa", "poslato preko", "poslato pomoću", "послато са"),
    "sl": ("poslano z", "poslano iz"),
    "de": ("gesendet von", "gesendet mit", "gesendet über", "gesendet aus", "gesendet via", "versendet mit"),
    "fr": ("envoyé de", "envoyé depuis", "envoyé à partir", "envoyé avec", "envoyé via"),
    "es": ("enviado desde", "enviado con", "enviado de"),
    "it": ("inviato da", "inviato dal", "inviato con", "inviato tramite"),
    "pt": ("enviado do", "enviado de", "enviado a partir", "enviado pelo", "enviado via"),
    "nl": (
        *("verzonden met", "verzonden vanaf", "verzonden via", "verzonden vanuit"),
        *("verstuurd vanaf", "verstuurd vanuit", "verstuurd via"),
    ),
    "sv": ("skickat från", "skickat med", "skickades från"),
    "da": ("sendt fra", "sendt med", "sendt via"),
    "fi": ("lähetetty",),
    "pl": ("wysłane z", "wysłano z", "wysłane przez"),
    "cs": ("odesláno z", "odesláno pomocí", "odoslané z"),
    "ro": ("trimis de pe",),
}
# Where the verb comes last: beginning and end.
SENT_LAST: Final = (
    ("von meinem", "gesendet"),
    ("mit meinem", "gesendet"),
    ("von unterwegs", "gesendet"),
    ("diese nachricht wurde von", "gesendet"),
    ("iphone", "gönderildi"),
    ("iphone", "küldve"),
    ("iphone", "から送信"),
    ("发自我的", ""),
    ("从我的", "发送"),
    ("從我的", "傳送"),
)
# "Get Outlook for iOS"
GET: Final[Mapping[str, tuple[str, ...]]] = {
    "en": ("get", "download"),
    "ru": ("скачать", "получить", "загрузить", "скачайте"),
    "uk": ("отримати", "завантажити"),
    "hr": ("preuzmite", "preuzmi", "nabavite", "nabavi", "dohvatite", "dohvati", "outlook za"),
    "de": ("holen sie sich", "laden sie", "outlook für"),
    "fr": ("télécharger", "télécharge", "obtenez", "obtenir"),
    "es": ("obtener", "obtén", "descargar"),
    "it": ("scarica", "ottieni", "outlook per"),
    "pt": ("obter", "obtenha", "baixar"),
    "nl": ("outlook voor", "download outlook"),
    "sv": ("hämta",),
    "da": ("hent", "få"),
    "pl": ("pobierz",),
    "cs": ("získat", "získejte", "stáhnout"),
}
GOT: Final = ("outlook", "bluemail", "yahoo mail", "gmail", "mail.ru")
# Words of five letters and more may have endings ("iPhonea", "Androida").
MACHINES: Final = (
    "iphone", "iphonu", "ipad", "ipada", "ipadu",
    "ipod", "macbook", "mac", "android", "windows", "samsung", "galaxy", "huawei", "xiaomi",
    "redmi", "poco", "honor", "nokia", "lumia", "blackberry", "pixel", "oneplus", "sony", "xperia", "htc", "motorola",
    "oppo", "realme", "wiko", "alcatel", "lenovo", "asus", "lg", "outlook", "gmail", "yahoo", "яндекс", "yandex",
    "mail.ru", "рамблер", "proton", "protonmail", "aol", "gmx", "web.de", "spark", "bluemail", "typeapp", "airmail",
    "sparrow", "mailbox", "mymail", "mailspring", "newton", "thunderbird", "k-9", "app", "mobile", "phone",
    "smartphone", "cell", "tablet", "device", "laptop", "computer", "смартфон", "телефон", "планшет", "айфон",
    "устройства",
    "мобильной", "мобильного", "мобільного", "mobitel", "telefon", "pametnog", "mobilnog", "uređaj", "handy",
    "mobilgerät", "téléphone", "portable", "mobiel", "móvil", "movil", "celular", "cellulare", "mobil",
)  # fmt: skip
# What may follow behind a comma or full stop.
EXCUSES: Final = (
    "please", "excuse", "sorry", "apolog", "pardon", "forgive", "typos", "brevity", "bitte", "entschuldig", "molim",
    "oprosti", "ispričavam", "izvin", "извин", "прошу", "просьба", "désolé", "merci d'excuser", "veuillez", "disculp",
    "perdón", "desculp", "scusa", "mi scuso", "excuseer", "ursäkta", "undskyld", "przeprasz",
)  # fmt: skip

# Closing words; hidden only together with particulars (telephone, address on the web) below.
CLOSINGS: Final[Mapping[str, tuple[str, ...]]] = {
    "en": (
        *("best regards", "kind regards", "warm regards", "regards", "best wishes", "best", "sincerely"),
        *("yours sincerely", "yours faithfully", "cheers", "thanks and regards"),
    ),
    "ru": ("с уважением", "с наилучшими пожеланиями", "всего доброго", "всего хорошего", "с почтением"),
    "uk": ("з повагою",),
    "hr": (
        *("srdačan pozdrav", "srdačno", "srdačni pozdravi", "lijep pozdrav", "lijepi pozdrav", "lp", "pozdrav"),
        *("pozdravi", "puno pozdrava", "s poštovanjem", "hvala i pozdrav", "hvala i lijep pozdrav"),
        *("hvala i srdačan pozdrav", "hvala i lp"),
    ),
    "sr": ("lep pozdrav", "sa poštovanjem", "с поштовањем", "срдачан поздрав", "поздрав"),
    "sl": ("lep pozdrav", "s spoštovanjem", "lepo pozdravljeni"),
    "de": (
        *("mit freundlichen grüßen", "mit freundlichen grüssen", "mit freundlichem gruß", "freundliche grüße", "mfg"),
        *("viele grüße", "liebe grüße", "beste grüße", "herzliche grüße", "mit besten grüßen", "lg", "vg"),
    ),
    "fr": ("cordialement", "bien cordialement", "bien à vous", "salutations", "meilleures salutations", "cdt"),
    "es": ("saludos", "un saludo", "saludos cordiales", "un cordial saludo", "atentamente"),
    "it": ("cordiali saluti", "distinti saluti", "saluti", "un saluto", "cordialmente"),
    "pt": ("atenciosamente", "cumprimentos", "melhores cumprimentos", "com os melhores cumprimentos"),
    "nl": ("met vriendelijke groet", "met vriendelijke groeten", "vriendelijke groet", "groeten", "groet", "mvg"),
    "sv": ("med vänliga hälsningar", "vänliga hälsningar", "hälsningar", "mvh"),
    "da": ("med venlig hilsen", "venlig hilsen", "hilsen"),
    "no": ("med vennlig hilsen", "vennlig hilsen"),
    "pl": ("pozdrawiam", "z poważaniem", "z wyrazami szacunku"),
    "cs": ("s pozdravem", "s pozdravom", "s úctou"),
}

# Below a signature, and yet no part of it.
POSTSCRIPTS: Final = ("p.s", "ps", "p. s", "п.с", "п. с", "з.ы", "n.b", "nb")
