"""HTML at the door: what people read of it is kept, nothing of it is stored, and what only looks like it stays."""

# ruff: noqa: RUF001 - letters that look like others are what networks write

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.markup import as_text
from tests.growth import grows_no_faster


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ("<p>Acme lost my bag</p>", "Acme lost my bag"),
        ("<p>One</p><p>Two<br>Three<br />Four</p>", "One\n\nTwo\nThree\nFour"),
        ("Q&amp;A &lt;3 &quot;hi&quot; it&#39;s &#x27;ok&#x27; &nbsp;", "Q&A <3 \"hi\" it's 'ok' \u00a0"),
        ("Macy&rsquo;s &mdash; &euro;5 &#128293;", "Macy’s — €5 \U0001f525"),
        ("&amp;amp; &amp;#39; &amp;amp;lt;3", "& ' <3"),
        ('<a href="https://x.com/acme" rel="nofollow">@<span>acmeair</span></a> help', "@acmeair help"),
        ("A<b>cm</b>e", "Acme"),
        ("<P CLASS='x'>a</P>", "a"),
        ("<p>a<p>b", "a\n\nb"),
        ("</p>a</div>", "a"),
        ("&lt;p&gt;Acme&lt;/p&gt;", "Acme"),
        ("&amp;lt;p&amp;gt;Acme&amp;lt;/p&amp;gt;", "Acme"),
        ("so<scr<script>ipt>alert(1)</script>", "so"),
        ("a<script>alert('x')</script>b<style>p {color: red}</style>c", "abc"),
        ("a<script>b", "ab"),
        ("<img src=x onerror=alert(1)>a", "a"),
        ("so angry <img class='emoji' alt=\"[怒]\" src='/a.png'/>!", "so angry  [怒] !"),
        ("a<!-- hidden -->b", "ab"),
        ("<![CDATA[Acme <b>lost</b> it]]>", "Acme lost it"),
        ("<table><tr><td>a</td><td>b</td></tr></table>", "a  b"),
        ("<input disabled>a<video controls src='x'>b</video>", "a b"),
        ('never again <a href="https://acm', "never again"),
        ("<<p>p>a", "<\n\np>a"),
        ("&#0;&#55296;&#99999999;&#150;", "–"),
    ],
)  # fmt: skip
def test_markup_is_reduced_to_text(sent: str, read: str) -> None:
    assert as_text(sent) == read


@pytest.mark.parametrize(
    "text",
    [
        "a < b and c > d", "I <3 Acme", "<3", ":-< and >:(", "x<y>z", "if a<b then b>a", "<my name> is unknown",
        "<a lot> 3", "->", "<-", "<>",
        "<@U123>", "AT&T",
        "Q&A; R&D", "&foo;", "&", "&#;", "a & b", "<b and c> d", "5 <a lot of money> 3", "1 < 2", "<acme>",
        "  two  blanks \n\n\n and lines < 3 ",
    ],
)  # fmt: skip
def test_what_only_looks_like_markup_stays(text: str) -> None:
    assert as_text(text) == text


TAG = re.compile(r"</?(?:p|b|a|br|script|img|span)(?:\s[^<>]*=[^<>]*)?/?>", re.IGNORECASE)
PIECES = st.lists(
    st.sampled_from(
        [
            "<", ">", "<p>", "</p>", "<b>", "scr", "ipt", "<script>", "</script>", "&lt;", "&gt;", "&amp;",
            "&#60;", "&#x3e;", "p", "br/",
            "<a href='x'>", "<!--", "-->",
            "a", " ", "\n", "=", '"', "&", ";", "lt;", "<![CDATA[", "]]>", "<img alt='<'>", "é", "/",
        ]
    ),
    max_size=14,
)  # fmt: skip


@given(PIECES)
@settings(deadline=None, derandomize=True, max_examples=3000)
def test_nothing_is_stored_as_markup(pieces: list[str]) -> None:
    assert TAG.search(as_text("".join(pieces))) is None


@given(st.text(alphabet="<>&;#p/abr =\"'! -\n", max_size=40))
@settings(deadline=None, derandomize=True, max_examples=1000)
def test_no_text_breaks_it(text: str) -> None:
    assert TAG.search(as_text(text)) is None


@pytest.mark.parametrize(
    "written",
    [
        "<", ">", "<p", "<p>", "<p ", "<a b=", "<a b='", "<a b ", "</p>", "<<p>", "<>", "<!--", "<!-- -->",
        "<script>", "<script></script>",
        "&", "&amp;",
        "&#", "&#9", "&amp;amp",
        "&lt;", "&lt;p&gt;", "<![CDATA[", "]]>", "<![CDATA[]]>",
        "\n", "<br>", "<img alt='x'>", "a=b ", "<a =",
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    ("before", "after"), [("", ""), ("<p ", ""), ("<a b='", "'>"), ("<![CDATA[" * 300, "]]>" * 900)]
)
def test_the_time_it_takes_grows_with_the_text_and_no_faster(before: str, written: str, after: str) -> None:
    assert grows_no_faster(as_text, lambda size: before + written * (size // len(written)) + after)


@pytest.mark.parametrize(
    ("begin", "end"),
    [("<![CDATA[", "]]>"), ("<", ">"), ("<b ", ">"), ("<script>", "</script>"), ("<!--", "-->"), ("<img alt='", "'>")],
)
def test_what_is_nested_deeply_takes_no_longer(begin: str, end: str) -> None:
    assert grows_no_faster(as_text, lambda size: begin * (size // 10) + end * (size // 10))
