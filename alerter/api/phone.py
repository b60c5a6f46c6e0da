"""The page behind an acknowledge link, as somebody sees it at night on a phone: what it is about, how bad it is, by when, and
one large button; and the page behind the link of a drill. They follow the phone into the dark, need no script, and load
nothing.

Of posts it says what a webhook says: whoever has the link is outside the house.
"""

from __future__ import annotations

import base64
import hashlib
import html
from datetime import datetime
from typing import Final

from fastapi import Response
from fastapi.responses import HTMLResponse

from alerter.api.replies import only_person
from alerter.escalation.page_drills import PageDrill
from alerter.incidents import words
from alerter.incidents.record import IncidentRecord
from services.config.model import Config
from services.config.rota import zone_of
from services.contracts.direction import settled
from services.contracts.incident import Incident
from services.contracts.signal import PostCard

MAX_TEXT_CHARS: Final = 400
MAX_NAME_CHARS: Final = 80
_STYLE: Final = """:root{color-scheme:light dark;--ground:#f6f6f4;--paper:#fff;--ink:#1b1c1e;--soft:#55585d;--rule:#d4d6da;
--s1:#a3141e;--s2:#a33a00;--s3:#6d5200;--s4:#4a5057;--main:#0b57b0;--on:#fff;--link:#0b57b0}
@media (prefers-color-scheme:dark){:root{--ground:#111214;--paper:#1b1d20;--ink:#eceef0;--soft:#aab0b8;--rule:#3a3e44;
--s1:#ff8a80;--s2:#ffab70;--s3:#e8c95a;--s4:#b4bbc4;--main:#8ab8ff;--on:#101215;--link:#8ab8ff}}
*{box-sizing:border-box}body{margin:0;background:var(--ground);color:var(--ink);
font:1.05rem/1.45 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:34rem;margin:0 auto;padding:1rem;overflow-wrap:anywhere}h1{font-size:1.3rem;line-height:1.25;margin:.4rem 0}
p{margin:.4rem 0}.sev{display:inline-block;padding:0 .6rem;border:2px solid;border-radius:999px;font-weight:700}
.s1{color:var(--s1)}.s2{color:var(--s2)}.s3{color:var(--s3)}.s4{color:var(--s4)}
.due{font-size:1.5rem;font-weight:700;line-height:1.2}.soft{color:var(--soft);font-size:.95rem}
blockquote{margin:.6rem 0;padding:0 .8rem;background:var(--paper);border-left:4px solid var(--rule);
display:-webkit-box;-webkit-box-orient:vertical;-webkit-line-clamp:6;overflow:hidden}
a{color:var(--link);display:inline-block;padding:.4rem 0}label{display:block;font-weight:600;margin:.8rem 0 .2rem}
input{font:inherit;width:100%;min-height:3rem;padding:.4rem .7rem;border:1px solid var(--soft);border-radius:8px;
background:var(--paper);color:var(--ink)}
button{font:inherit;font-size:1.3rem;font-weight:700;width:100%;min-height:4.5rem;margin:1rem 0;border:0;border-radius:12px;
background:var(--main);color:var(--on)}
a:focus-visible,input:focus-visible,button:focus-visible{outline:3px solid var(--link);outline-offset:2px}"""
_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_HEADERS: Final = {
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-robots-tag": "noindex",
    "x-content-type-options": "nosniff",
    "content-security-policy": (
        f"default-src 'none'; style-src 'sha256-{_HASH}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
}
_PAGE: Final = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title} · Firebreak</title>
<meta name="viewport" content="width=device-width,initial-scale=1"><meta name="color-scheme" content="light dark">
<style>{style}</style></head><body><main>{body}</main></body></html>"""
_NAME_AND_BUTTON: Final = """<form method="post">
<label for="by">Your name</label><input id="by" name="by" maxlength="80" autocomplete="name" value="{name}">
<button>{button}</button>"""
_FORM: Final = f"""{_NAME_AND_BUTTON}
<label for="comment">Comment for the others</label>
<input id="comment" name="comment" maxlength="300" autocomplete="off"></form>"""


def name_of(config: Config, endpoint: str, remembered: str) -> str:
    """Returns the name to fill in: of the only responder who is reached by this endpoint, or what was typed here last."""
    person = only_person(config, endpoint)
    return remembered or (person.called if person is not None else "")


def zone_of_link(config: Config, endpoint: str) -> str:
    """Returns the zone of the one who is reached by this endpoint, or UTC."""
    person = only_person(config, endpoint)
    return (person.zone if person is not None else None) or "UTC"


def ask(record: IncidentRecord, now: datetime, name: str, zone: str) -> Response:
    """The page on which it is acknowledged; `record` is as it may leave the house. Changes nothing."""
    incident = record.incident
    button = "I have it" if incident.acknowledged_by is None else "I take it over"
    if name and incident.acknowledged_by is not None and incident.acknowledged_by.partition(" (")[0] == name:
        button = "I still have it"
    form = "" if record.ended else _FORM.format(name=html.escape(name, quote=True), button=button)
    return page(200, incident.title, _about(record, now, zone, form))


def taken(record: IncidentRecord, now: datetime, zone: str) -> Response:
    """The page after it was acknowledged."""
    until = record.incident.acknowledged_until
    told = "Everybody who was told will hear that you have it."
    said = f"You have it until {_at(until, zone)}. {told}" if until is not None else told
    return page(200, "You have it", f'<p class="due">You have it.</p><p>{said}</p>' + _about(record, now, zone))


def ask_drill(drill: PageDrill, who: str, at: datetime | None, name: str, zone: str) -> Response:
    """The page on which a person confirms a drill's test page; `at` is when they did. Changes nothing."""
    if at is not None:
        return drill_confirmed(drill, who, at, zone)
    until = f"Please confirm by {_at(drill.ends_at, zone)}."
    button = _NAME_AND_BUTTON.format(name=html.escape(name, quote=True), button="It reached me") + "</form>"
    return page(200, "This is a drill", f"{_drill(drill, who, zone)}<p>{until}</p>{button}")


def drill_confirmed(drill: PageDrill, who: str, at: datetime, zone: str) -> Response:
    """The page after that."""
    after = int((at - drill.begun_at).total_seconds())
    took = f"{after} s" if after < 120 else f"{after // 60} min"
    said = f'<p class="due">It reached you.</p><p>Noted {_at(at, zone)}, {took} after the drill began. Thank you.</p>'
    return page(200, "It reached you", said + _drill(drill, who, zone))


def _drill(drill: PageDrill, who: str, zone: str) -> str:
    begun = f"{foreign(drill.by)} began it {_at(drill.begun_at, zone)}, to see that pages reach {foreign(who)}."
    return f'<p><span class="sev s4">DRILL</span></p><h1>This is a drill. Nothing is wrong.</h1><p class="soft">{begun}</p>'


def said(status: int, words: str) -> Response:
    """A page that says in one sentence what became of it."""
    return page(status, words, f'<p class="due">{foreign(words)}</p>')


def sorry(status: int, said: str) -> Response:
    """A page that says why it did not work."""
    return page(status, said, f"<h1>{foreign(said)}</h1>")


def page(status: int, title: str, body: str) -> Response:
    """`body` is HTML."""
    text = _PAGE.format(title=html.escape(settled(title)), style=_STYLE, body=body)
    return HTMLResponse(text, status, _HEADERS)


def foreign(text: str) -> str:
    return f"<bdi>{html.escape(settled(text))}</bdi>"


def _about(record: IncidentRecord, now: datetime, zone: str, form: str = "") -> str:
    """What it is about, with the form where a thumb reaches it on the first screen."""
    incident = record.incident
    head = f'<p><span class="sev s{incident.severity}">SEV{incident.severity}</span></p>'
    state = f'<p class="soft">{html.escape(words.STATE_WORDS[incident.state])}</p>' if record.ended else ""
    post = incident.driver or incident.root or next(iter(record.cards.every()), None)
    step = f"<p>First step: {foreign(incident.first_step)}</p>" if incident.first_step else ""
    return (
        f"{head}<h1>{foreign(incident.title)}</h1>{state}{'' if record.ended else _due(incident, now, zone)}"
        f"{_post(post) if post is not None else ''}{_who(incident, zone)}{form}{step}"
    )


def _who(incident: Incident, zone: str) -> str:
    if incident.acknowledged_by is None:
        return f"<p>{foreign(words.who_has_it(incident))}</p>"
    until = f", until {_at(incident.acknowledged_until, zone)}" if incident.acknowledged_until is not None else ""
    return f"<p>{foreign(f'{incident.acknowledged_by} has it')}{until}.</p>"


def _due(incident: Incident, now: datetime, zone: str) -> str:
    """By when to answer: how long is left, and the time in the reader's zone."""
    if incident.answer_by is None:
        return f'<p class="due">{html.escape(words.by_when(incident))}</p>'
    left = int((incident.answer_by - now).total_seconds() // 60)
    urgent = (
        "Answer now" if left < 1 else f"Answer within {left} min" if left < 120 else f"Answer within {left // 60} h"
    )
    because = f": {foreign(incident.answer_because)}" if incident.answer_because else ""
    by = "By" if left >= 0 else "It was due by"
    return f'<p class="due">{urgent}</p><p class="soft">{by} {_at(incident.answer_by, zone)}{because}</p>'


def _at(at: datetime, zone: str) -> str:
    local = at.astimezone(zone_of(zone))
    other = "" if zone == "UTC" else f" ({at:%H:%M} UTC)"
    return html.escape(f"{local:%d %b %H:%M} {zone}{other}")


def _post(post: PostCard) -> str:
    text = post.text or ""
    cut = text if len(text) <= MAX_TEXT_CHARS else text[: MAX_TEXT_CHARS - 1] + "\u2026"
    author = foreign(post.author) if post.author else "somebody"
    reach = f", {post.followers:,} followers" if post.followers is not None else ""
    reach += f", edited {post.edited_at:%d %b %H:%M} UTC" if post.edited_at is not None else ""
    quoted = f'<blockquote dir="auto">{html.escape(settled(cut))}</blockquote>' if cut else ""
    link = next(
        (url for url in (post.reply_link, post.permalink) if url and url.startswith(("https://", "http://"))), None
    )
    there = (
        f'<p><a href="{html.escape(link, quote=True)}" rel="noopener noreferrer">See it on {html.escape(post.network)}</a></p>'
        if link
        else ""
    )
    return f'{quoted}<p class="soft">{author}{reach}, on {html.escape(post.network)}</p>{there}'
