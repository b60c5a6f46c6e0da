"""Templates to pages, and the static files beside them, each under an address that changes with its content."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from fastapi import Request, Response
from markupsafe import Markup

from alerter.api.context import ApiContext
from alerter.console import zones
from alerter.console.sessions import Visitor
from services.config.rota import zone_of
from services.contracts.direction import settled

if TYPE_CHECKING:
    from jinja2 import Environment
    from jinja2.runtime import Context
    from markdown_it import MarkdownIt

KINDS: Final = {"console.css": "text/css", "console.js": "text/javascript", "icon.svg": "image/svg+xml"}
PAGES: Final = (
    ("/console", "Board"),
    ("/console/answers", "Answers due"),
    ("/console/on-call", "On call"),
    ("/console/silences", "Silences"),
    ("/console/rota", "People & policies"),
    ("/console/brands", "Brands"),
    ("/console/endpoints", "Endpoints"),
)
"""What the navigation leads to."""
FOREVER: Final = "public, max-age=31536000, immutable"


def ago(seconds: float) -> str:
    """A span of time, in the largest unit that says something: 45 s, 12 min, 3 h 20, 4 days."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min"
    if whole < 2 * 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d}"
    return f"{whole // 86400} days"


def short(number: float) -> str:
    """A number as people say it: 940, 12,500, 1.2 M."""
    return f"{number / 1e6:,.1f} M" if abs(number) >= 1e6 else f"{number:,.0f}"


def stamp(context: Context, at: datetime) -> Markup:
    """A moment in the zone of the page, which it names. Another zone's reader sees UTC by pointing at it."""
    return _time(at, context["zone"], "%d %b %H:%M")


def when(context: Context, at: datetime, zone: str | None = None) -> str:
    """A moment as `stamp` has it, as text alone; `zone` where it is another one than that of the page."""
    return _words(at, zone or context["zone"], "%d %b %H:%M")


def dated(context: Context, at: datetime) -> Markup:
    """The same with its year, for what may be long ago."""
    return _time(at, context["zone"], "%Y-%m-%d %H:%M")


def clock(context: Context, at: datetime) -> Markup:
    """Only the time of day."""
    return _time(at, context["zone"], "%H:%M")


def bare(context: Context, at: datetime) -> str:
    """The time of day without its zone, where the zone stands beside it: on an axis."""
    return f"{at.astimezone(zone_of(context['zone'])):%H:%M}"


def zone_words(context: Context, at: datetime) -> str:
    """What the zone of the page calls itself at this moment."""
    return zones.short(at, context["zone"])


def _time(at: datetime, zone: str, form: str) -> Markup:
    title = "" if zone == zones.UTC_NAME else Markup(' title="{}"').format(f"{at:%Y-%m-%d %H:%M} UTC")
    return Markup('<time datetime="{}"{}>{}</time>').format(f"{at:%Y-%m-%dT%H:%M:%SZ}", title, _words(at, zone, form))


def _words(at: datetime, zone: str, form: str) -> str:
    return f"{at.astimezone(zone_of(zone)):{form}} {zones.short(at, zone)}"


def web(address: str | None) -> str | None:
    """The address if a browser may be sent there: whoever posts writes it, and `javascript:` is an address too."""
    return address if address is not None and address.startswith(("https://", "http://")) else None


def markdown(text: str) -> Markup:
    """Safe: raw HTML in it is shown, not run."""
    return Markup(_markdown().render(text))  # noqa: S704 - markdown-it escapes with html=False


@cache
def _markdown() -> MarkdownIt:
    from markdown_it import MarkdownIt  # late, like the templates: a process starts before anybody looks

    return MarkdownIt("commonmark", {"html": False})


@cache
def static(name: str) -> tuple[bytes, str]:
    """A file's content, and a word for its version."""
    content = (files("alerter.console") / "static" / name).read_bytes()
    return content, hashlib.sha256(content).hexdigest()[:12]


def static_address(name: str) -> str:
    return f"/console/static/{static(name)[1]}/{name}"


def _settled(value: object) -> object:
    """What a template writes, without characters that would turn the rest of the page around."""
    return settled(value) if type(value) is str else value


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined, pass_context

    environment = Environment(
        loader=PackageLoader("alerter.console"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_settled,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "ago": ago,
        "short": short,
        "stamp": pass_context(stamp),
        "when": pass_context(when),
        "clock": pass_context(clock),
        "dated": pass_context(dated),
        "bare": pass_context(bare),
        "zone_words": pass_context(zone_words),
        "markdown": markdown,
        "web": web,
    }
    environment.globals |= {
        "static": static_address,
        "pages": PAGES,
        "named": lambda values: [(one, one) for one in values],
    }
    return environment


def page(service: ApiContext, request: Request, template: str, status: int = 200, **facts: Any) -> Response:
    """A whole page. Every template knows `now`, `visitor` (or none) and what it was given."""
    settings = service.process.settings
    visitor: Visitor | None = getattr(request.state, "visitor", None)
    now = service.context().now
    text = (
        _environment()
        .get_template(template)
        .render(
            now=now,
            speed=settings.clock_speed if settings.clock_begin is not None else 1,
            visitor=visitor,
            strip=getattr(request.state, "strip", None),
            zone=zones.chosen(request, visitor, service.process.config),
            path=request.url.path,
            status=status,
            seconds_to=lambda at: (at - now) / timedelta(seconds=1),
            **facts,
        )
    )
    return Response(text, status, media_type="text/html")
