"""What is left of HTML, and what it says as text."""

import pytest

from connectors.email.replies import html_to_text, visible_html

OLD = "<div>The parcel leaves on Monday.</div><div>Your lamp shop</div>"
NEW = "<div>Yes, <b>please</b>.</div>"
ADDRESS = "&lt;<a href='mailto:hello@lamps.example'>hello@lamps.example</a>&gt;"
WROTE = f"On Mon, Nov 23, 2026 at 10:15 AM Lamp Shop {ADDRESS} wrote:"
HEADER = "<b>From:</b> Lamp Shop<br><b>Sent:</b> Monday<br><b>To:</b> Ana<br><b>Subject:</b> lamp<br>"
FOREIGN = "<b>מאת:</b> Lamp Shop<br><b>נשלח:</b> Monday<br>"

CLIENTS = {
    "gmail": f'{NEW}<br><div class="gmail_quote gmail_quote_container"><div class="gmail_attr">{WROTE}<br></div>'
    f'<blockquote class="gmail_quote" style="border-left:1px solid #ccc">{OLD}</blockquote></div>',
    "gmail, unknown language": f'{NEW}<div class="gmail_quote">Lamp Shop kirjutas:<br>'
    f"<blockquote>{OLD}</blockquote></div>",
    "apple": f'{NEW}<div><br><blockquote type="cite"><div>{WROTE}</div><br>{OLD}</blockquote></div><br>',
    "thunderbird": f'{NEW}<div class="moz-cite-prefix">23.11.26 10:15, Lamp Shop:<br></div>'
    f'<blockquote type="cite">{OLD}</blockquote>',
    "outlook": f'<div class="WordSection1"><p class="MsoNormal">Yes, <b>please</b>.</p><div><div style="border:none;'
    f'border-top:solid #E1E1E1 1.0pt;padding:3.0pt 0cm"><p class="MsoNormal">{HEADER}</p></div></div>{OLD}</div>',
    "outlook, unknown language": f'{NEW}<div style="border-top:solid #E1E1E1 1.0pt"><p>{FOREIGN}</p></div>{OLD}',
    "outlook on the web": f'{NEW}<div id="appendonsend"></div><hr><div id="divRplyFwdMsg">{FOREIGN}</div>{OLD}',
    "outlook on the web, forwarded on": f'{NEW}<div id="x_divRplyFwdMsg">{FOREIGN}</div>{OLD}',
    "outlook on phones": f'{NEW}<div id="ms-outlook-mobile-signature">Hanki <a href="https://aka.ms/x">Outlook</a></div>'
    f'<div id="mail-editor-reference-message-container"><div>{HEADER}</div>{OLD}</div>',
    "yahoo": f'{NEW}<div id="ydp1a2yahoo_quoted_12" class="ydp1a2yahoo_quoted"><div>{WROTE}</div>{OLD}</div>',
    "yandex": f'{NEW}<div>23.11.2026, 10:15, "Lamp Shop" {ADDRESS}:</div><blockquote>{OLD}</blockquote>',
    "mail.ru": f"{NEW}Понедельник, 23 ноября 2026, 10:15 +03:00 от Лампы &lt;hello@lamps.example&gt;:<br>"
    f'<blockquote style="border-left:1px solid #0857A6">{OLD}</blockquote>',
    "proton": f'{NEW}<div class="protonmail_signature_block">Ana</div><div class="protonmail_quote">{WROTE}<br>'
    f'<blockquote class="protonmail_quote" type="cite">{OLD}</blockquote></div>',
    "signs": f"{NEW}<div>&gt; Will you take it?</div><div>&gt; Your lamp shop</div>",
    "lines": f"{NEW}<div>-----Original Message-----<br>From: Lamp Shop<br></div>{OLD}",
    "pre": f"{NEW}<pre>-- \nAna\n+385 91 555 01 23</pre>",
    "signature": f'{NEW}<div class="gmail_signature">Ana Horvat</div>',
    "phone": f"{NEW}<br><div>Poslano s mog iPhonea</div>",
}  # fmt: skip


@pytest.mark.parametrize("html", CLIENTS.values(), ids=CLIENTS)
def test_only_the_new_part_stays(html: str) -> None:
    shown = visible_html(html)
    assert html_to_text(shown) == "Yes, please."
    assert "<b>please</b>" in shown
    assert "Monday" not in shown


def test_answers_between_the_quotes_of_gmail_are_kept() -> None:
    html = (
        f'<div class="gmail_quote"><div class="gmail_attr">{WROTE}</div><blockquote>Red?</blockquote><div>Blue.</div>'
        "<blockquote>Monday?</blockquote><div>Tuesday.</div><blockquote>Your shop</blockquote></div>"
    )
    assert html_to_text(visible_html(html)).split() == ["Red?", "Blue.", "Monday?", "Tuesday."]


def test_a_photo_alone_is_a_message() -> None:
    html = f'<img src="cid:photo"><div class="gmail_attr">{WROTE}</div><blockquote>{OLD}</blockquote>'
    shown = visible_html(html)
    assert "cid:photo" in shown
    assert "Monday" not in shown


def test_a_dot_that_counts_readers_is_no_answer() -> None:
    html = f'{NEW}<blockquote>{OLD}</blockquote><img src="https://t.example/1.gif" width="1" height="1">'
    assert html_to_text(visible_html(html)) == "Yes, please."


def test_an_indented_paragraph_is_no_quote() -> None:
    html = '<div>Order:</div><blockquote style="margin:0 0 0 40px;border:none;padding:0">one lamp</blockquote>'
    assert html_to_text(visible_html(html)) == "Order:\none lamp"


def test_a_sentence_in_the_place_of_the_signature_is_kept() -> None:
    sentence = "And send it to my neighbour in Ilica, if I am not there."
    html = f'{NEW}<div id="Signature"><div>{sentence}</div><div>Ana</div></div>'
    assert "neighbour" in visible_html(html)


def test_what_is_hidden_is_removed() -> None:
    assert "secret" not in visible_html(f'{NEW}<div style="display: none">secret</div>')


@pytest.mark.parametrize(
    "html", ["", "Hello", "<p>Hello</p>", f"<blockquote>{OLD}</blockquote>", f"<p>{HEADER}</p>{OLD}"]
)
def test_html_with_nothing_to_remove_is_unchanged(html: str) -> None:
    assert visible_html(html) == html


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>One</p><p>Two<br>Three</p>", "One\n\nTwo\nThree"),
        ("<div>One</div><div>Two</div><div><br></div><div>Three</div>", "One\nTwo\n\nThree"),
        ("a<br><br><br><br>b", "a\n\nb"),
        ('<p class="MsoNormal">One</p><p class="MsoNormal">Two</p>', "One\nTwo"),
        ("Lamps:<ul><li>red</li><li>blue<ul><li>dark</li></ul></li></ul>end", "Lamps:\n\n- red\n- blue\n- dark\n\nend"),
        ("<table><tr><td>Lamp</td><td>10&nbsp;EUR</td></tr><tr><td>Sum</td></tr></table>", "Lamp\t10 EUR\nSum"),
        ('<a href="https://a.example/x">our shop</a>.', "our shop <https://a.example/x>."),
        ('<a href="https://a.example/">www.a.example</a>', "www.a.example"),
        ('<a href="mailto:a@a.example?subject=x">a@a.example</a>', "a@a.example"),
        ('<a href="javascript:x()">here</a>', "here"),
        ('<img alt="a lamp" src="x"> and <img src="y">', "a lamp and"),
        ("a &lt;b&gt; &amp; c&nbsp;d", "a <b> & c d"),
        ("  much \n\n space <b> here </b> too ", "much space here too"),
        ("<pre>a\n  b</pre>", "a\nb"),
        ("<head><title>t</title><style>s</style></head>x<script>y</script><!-- z -->", "x"),
        ('<div style="display:none;max-height:0">preheader</div>Hello', "Hello"),
        ("<p>broken <b>markup <p>here</i>", "broken markup\n\nhere"),
        ("", ""),
    ],
)
def test_text_is_read_as_it_is_seen(html: str, text: str) -> None:
    assert html_to_text(html) == text
