"""What is read of feeds as sites write them: three formats, wrong charsets, odd dates, broken and hostile documents."""

from __future__ import annotations

import contextlib
import gzip
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.normalize import clean
from ingest.sources.feeds.reading import MOST_ENTRIES, FeedEntry, NoFeed, moment_of, read_feed

URL = "https://news.example/feeds/all.xml"


def rss(items: str, head: str = "") -> bytes:
    return f'<?xml version="1.0"?><rss version="2.0"><channel><title>News</title>{head}{items}</channel></rss>'.encode()


def the(body: bytes, charset: str | None = None) -> FeedEntry:
    (entry,) = read_feed(body, URL, charset).entries
    return entry


def test_an_entry_of_rss_is_read_with_its_extensions() -> None:
    entry = the(
        b"""<?xml version="1.0" encoding="utf-8"?>
        <rss version="2.0" xmlns:content="http://purl.org/rss/1.0/modules/content/" xmlns:dc="http://purl.org/dc/elements/1.1/"
             xmlns:media="http://search.yahoo.com/mrss/">
        <channel><title>News</title><link>https://news.example/</link><language>en-gb</language>
        <image><title>Logo</title><link>https://news.example/logo</link></image>
        <item><title>Acme Air strands &amp;amp; forgets</title><link> /2026/acme </link><guid isPermaLink="false">42</guid>
        <description>short</description><content:encoded><![CDATA[<p>Long &eacute; text</p>]]></content:encoded>
        <dc:creator>Jane Roe</dc:creator><pubDate>Fri, 01 May 2026 12:00:00 +0200</pubDate>
        <media:content><media:title>a picture</media:title></media:content></item></channel></rss>"""
    )
    assert entry == FeedEntry(
        id="42",
        link="https://news.example/2026/acme",
        title="Acme Air strands &amp; forgets",
        text="<p>Long \xe9 text</p>",
        author="Jane Roe",
        published=datetime(2026, 5, 1, 10, tzinfo=UTC),
    )


def test_an_entry_of_atom_is_read_with_markup_hub_and_language() -> None:
    document = read_feed(
        b"""<feed xmlns="http://www.w3.org/2005/Atom" xml:lang="de"><title>Blog</title>
        <link rel="hub" href="https://hub.example/"/><link rel="self" href="/atom"/><link href="https://blog.example"/>
        <author><name>The blog</name></author>
        <entry xml:lang="en"><id>urn:1</id><title type="html">Acme &lt;b&gt;Air&lt;/b&gt;</title>
        <link rel="enclosure" href="https://blog.example/1.mp3"/><link href="https://blog.example/1"/>
        <author><name>Jane</name><email>j@blog.example</email></author>
        <content type="xhtml"><div xmlns="http://www.w3.org/1999/xhtml">we <i>were</i> <br/>stranded &lt;3</div></content>
        <updated>2026-05-01T12:00:00Z</updated></entry></feed>""",
        URL,
    )
    (entry,) = document.entries
    assert (document.title, document.language) == ("Blog", "de")
    assert (document.hub, document.topic) == ("https://hub.example/", "https://news.example/atom")
    assert (entry.id, entry.link, entry.author, entry.language) == ("urn:1", "https://blog.example/1", "Jane", "en")
    assert clean(entry.title) == "Acme Air"
    assert clean(entry.text).split() == ["we", "were", "stranded", "<3"]
    assert entry.updated == datetime(2026, 5, 1, 12, tzinfo=UTC)


def test_an_entry_of_json_feed_is_read() -> None:
    document = read_feed(
        b'\xef\xbb\xbf{"version":"https://jsonfeed.org/version/1.1","title":"Reviews","language":"en",'
        b'"hubs":[{"type":"rssCloud","url":"https://no.example"},{"type":"WebSub","url":"https://hub.example/"}],'
        b'"items":[{"id":7,"url":"/7","title":"A < B","content_text":"5 < 6 & more","authors":[{"name":null},{"name":"Jo"}],'
        b'"date_published":"2026-05-01T12:00:00+02:00"},{"id":{"no":"id"}},{"id":"8","content_html":"<p>hi</p>"}]}',
        URL,
    )
    first, second = document.entries
    assert (first.id, first.link, first.author) == ("7", "https://news.example/7", "Jo")
    assert (clean(first.title), clean(first.text)) == ("A < B", "5 < 6 & more")
    assert (second.id, second.text) == ("8", "<p>hi</p>")
    assert document.hub == "https://hub.example/"
    assert document.flaw == "1 entries that could not be read"


def test_entries_of_rdf_stand_beside_their_channel() -> None:
    entry = the(
        b"""<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns="http://purl.org/rss/1.0/"
        xmlns:dc="http://purl.org/dc/elements/1.1/"><channel rdf:about="x"><title>News</title></channel>
        <item rdf:about="y"><title>Acme Air</title><link>https://news.example/1</link><dc:date>2026-05-01T12:00Z</dc:date>
        </item></rdf:RDF>"""
    )
    assert (entry.title, entry.link, entry.published) == (
        "Acme Air",
        "https://news.example/1",
        datetime(2026, 5, 1, 12, tzinfo=UTC),
    )


@pytest.mark.parametrize(
    ("declared", "written", "served"),
    [
        ("iso-8859-1", "cp1252", None),
        ("utf-8", "cp1252", None),  # says UTF-8 and is not
        ("", "cp1252", None),
        ("", "cp1252", "windows-1252"),
        ("x-unknown", "utf-8", None),
        ("windows-1251", "utf-8-sig", None),  # the mark counts more than the word
        ("utf-16", "utf-16", None),
        ("", "koi8-r", "koi8-r"),
    ],
)
def test_a_charset_that_was_stated_wrongly_is_found_out(declared: str, written: str, served: str | None) -> None:
    word = "Привет" if written == "koi8-r" else "Zürich “café”"
    declaration = f'<?xml version="1.0" encoding="{declared}"?>' if declared else ""
    text = f"{declaration}<rss><channel><item><title>{word}</title></item></channel></rss>"
    assert the(text.encode(written), served).title == word


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("AT&T &amp; Acme", "AT&T & Acme"),
        ("Acme&nbsp;Air &mdash; late", "Acme\xa0Air — late"),
        ("&lt;b&gt;Acme&lt;/b&gt;", "<b>Acme</b>"),
        ("a &lt; b", "a < b"),
        ("&unknown; &", "&unknown; &"),
        ("&#8364; &#x20AC;", "€ €"),
        ("bell\x07 and \x00 null", "bell and  null"),
        ("<![CDATA[5 > 3 & more]]>", "5 > 3 & more"),
    ],
)
def test_entities_of_html_and_bare_signs_are_what_people_meant(written: str, read: str) -> None:
    assert the(rss(f"<item><title>{written}</title></item>")).title.replace("&amp;", "&") == read


def test_what_stands_before_a_flaw_is_read_and_the_flaw_is_told() -> None:
    document = read_feed(rss("<item><title>one</title></item><item><title>two</title></wrong>"), URL)
    assert [entry.title for entry in document.entries] == ["one"]
    assert document.flaw is not None
    cut = rss("".join(f"<item><title>entry {number}</title></item>" for number in range(50)))[:-800]
    assert len(read_feed(cut, URL).entries) > 20


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<!DOCTYPE html><html><body>Just a moment...</body></html>",
        b"Not Found",
        b'{"error":"gone"}',
        b"[1,2]",
        b"<opml><body/></opml>",
        b"\x1f\x8b\x08",
        gzip.compress(b"<rss/>", mtime=0),
    ],
)
def test_what_is_no_feed_is_not_taken_for_an_empty_one(body: bytes) -> None:
    with pytest.raises(NoFeed):
        read_feed(body, URL)


@pytest.mark.parametrize(
    "declarations",
    [
        '<!ENTITY secret SYSTEM "file:///etc/passwd">',
        '<!ENTITY % remote SYSTEM "http://127.0.0.1/x"> %remote;',
        '<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;">',
    ],
)
def test_a_document_that_declares_entities_is_refused_and_opens_nothing(declarations: str) -> None:
    body = f"<!DOCTYPE rss [{declarations}]><rss><channel><item><title>&secret;&c;</title></item></channel></rss>"
    with pytest.raises(NoFeed, match="entities"):
        read_feed(body.encode(), URL)
    outside = (
        b'<!DOCTYPE rss SYSTEM "http://127.0.0.1:9/x.dtd"><rss><channel><item><title>ok</title></item></channel></rss>'
    )
    assert the(outside).title == "ok"


def test_nothing_grows_without_bound() -> None:
    many = read_feed(rss("<item><title>x</title></item>" * (MOST_ENTRIES + 50)), URL)
    assert len(many.entries) == MOST_ENTRIES
    assert many.flaw is not None
    assert len(the(rss(f"<item><description>{'word ' * 100_000}</description></item>")).text) <= 100_000
    with pytest.raises(NoFeed, match="deeply"):
        read_feed(rss("<a>" * 100_000), URL)


def test_a_megabyte_of_signs_ends() -> None:
    for piece in (b"&", b"<", b"&#", b"<!--", b"<![CDATA[", b"]]>", b"<?xml "):
        with contextlib.suppress(NoFeed):
            # A square of it would take days.
            assert read_feed(b"<rss>" + piece * (1_000_000 // len(piece)), URL).entries == ()


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("Fri, 01 May 2026 12:00:00 GMT", datetime(2026, 5, 1, 12, tzinfo=UTC)),
        ("01 May 2026 12:00 EST", datetime(2026, 5, 1, 17, tzinfo=UTC)),
        ("2026-05-01", datetime(2026, 5, 1, tzinfo=UTC)),
        ("2026-05-01T12:00:00.123+05:30", datetime(2026, 5, 1, 6, 30, 0, 123000, tzinfo=UTC)),
        ("yesterday", None),
        ("", None),
        ("0001-01-01T00:00:00Z", None),
        ("9999-12-31T23:59:59+00:00", None),
        ("Fri, 99 May 2026 25:00:00 GMT", None),
        ("1777636800", None),
    ],
)
def test_dates_are_read_as_sites_write_them_or_left_out(text: str, moment: datetime | None) -> None:
    assert moment_of(text) == moment


@settings(max_examples=150, deadline=None)
@given(
    st.binary(max_size=300),
    st.sampled_from([b"", b"<rss><channel><item><title>", b'{"version":"jsonfeed.org","items":[']),
)
def test_no_bytes_raise_anything_but_no_feed(tail: bytes, head: bytes) -> None:
    try:
        read_feed(head + tail, URL, "utf-8")
    except NoFeed:
        return
