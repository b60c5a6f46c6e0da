"""What our commands print: words with markup of ours, and values that are shown as they are.

Rich reads square brackets as markup, so a value that is pasted into the words may lose a part of itself: the pattern
`[a-z]{0,63}` would be shown as `{0,63}`.
"""

from __future__ import annotations

from typing import Final

from rich.console import Console
from rich.markup import escape

console: Final = Console()


def say(words: str, *values: object, highlight: bool = False) -> None:
    """Print `words`, in which each `{}` stands for the next value. Markup counts in the words and never in the values."""
    console.print(words.format(*(escape(str(value)) for value in values)), highlight=highlight)
