"""What a test message says: as much as a real page, with all that a real page may hold, so that a test that arrives whole means
that a page does too. Pure.
"""

from __future__ import annotations

from typing import Final

ODD: Final = (
    'Call <duty manager> on +44 20 7946 0000 & say "don\'t wait"; 100 % of *all* _such_ signs [are](shown) as `typed`, '
    "<b>this</b> too, and #1, ~2~, |3|, {4}, $5, 6\\7"
)
"""A playbook's step as people write it. Whoever takes `<duty manager>` for markup loses it, or refuses the message."""
_LONG: Final = " ".join(
    f"Sentence {number} of a long forecast, which says how large the story may grow and how sure that is."
    for number in range(1, 8)
)

FACTS: Final = (
    ("What changed", "somebody asked for a test message, as long as a real page; nothing is wrong"),
    ("By when", "There is no deadline: a real page says here by when an answer helps."),
    ("Who has it", "Nobody has to: a real page names who has it, such as Zoë O'Neill <zoe@example.com>."),
    ("First step", ODD),
    ("How sure", _LONG),
    ("Why it was opened", "a real page gives the reason here: äöü ß é ñ Ł, 日本語, العربية, \U0001f6a8"),
    ("Where", "a real page names the network and the post here"),
    ("State", "this is a test"),
)
