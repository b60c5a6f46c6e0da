"""Which text of a post is known: by that an edit is told from a repetition, and a newer edit from an older one. Pure.

Networks whose connector reads pages again send an edited post as what it was before, with other words. So a conversation
remembers hashes of the texts of its last posts, also of those that were replaced: a page from before the edit, read once more,
brings nothing back.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

import msgspec

MOST_VERSIONS: Final = 64
"""Posts of a conversation whose texts are known: 3 kB at most. What is sent again with another text after so many others counts
as the repetition that it is; an edit that says so is one at any time."""
MOST_EARLIER: Final = 4


class Version(msgspec.Struct, array_like=True):
    """The text of a post by its hash, 0 if it was taken back; when it was edited, by the network, or 0; what the post is."""

    text: int
    at: float = 0.0
    kind: str = ""
    """Empty as long as only an edit of the post was seen."""
    negative: bool | None = None
    """How the post counts in the mood of the audience; `None` if it does not."""
    earlier: list[int] = msgspec.field(default_factory=list)
    """The texts that it had before."""
    own: str = ""
    """The brand that wrote it, if one did."""

    def is_news(self, text: int, at: float, *, edit: bool) -> bool:
        """Returns True if this text, edited `at`, replaces what is known. What says itself that it is an `edit` may bring an
        earlier text back; what does not is an old page."""
        if at and self.at and at < self.at:
            return False
        if text == self.text:
            return False
        if self.at and not at and self.text and not edit:
            return False  # whoever tells when posts were edited would tell it of this text too
        return edit or text not in self.earlier or bool(at and at > self.at)

    def after(self, text: int, at: float, negative: bool | None) -> Version:
        """What is known once the post has this text."""
        earlier = [one for one in (*self.earlier, self.text) if one and one != text][-MOST_EARLIER:]
        return Version(text, max(at, self.at), self.kind, negative, earlier, self.own)

    def confirm(self, text: int, at: float) -> None:
        """The text was said again, as edited `at`: what was edited before that is older than it."""
        if text == self.text:
            self.at = max(self.at, at)

    def forgotten(self) -> Version:
        """What is known of a post whose text was taken back."""
        return Version(0, self.at, self.kind, self.negative, own=self.own)


def text_hash(text: str | None) -> int:
    """What is remembered of a text: never 0."""
    return int.from_bytes(blake2b((text or "").encode("utf-8", "replace"), digest_size=4).digest()) or 1


def remember(versions: dict[str, Version], post_id: str, version: Version) -> None:
    """Remember a version; the post that was remembered longest ago makes room."""
    versions[post_id] = version
    while len(versions) > MOST_VERSIONS:
        del versions[next(iter(versions))]
