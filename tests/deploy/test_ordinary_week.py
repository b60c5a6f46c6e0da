"""The ordinary week is made as it says: so many posts, spread over seven days, to and about one brand."""

from __future__ import annotations

import csv
import gzip
from collections import Counter
from pathlib import Path

from deploy.ordinary_week import ABOUT_THE_BRAND, DAY, DAYS, OTHER_LANGUAGES, TO_THE_BRAND, shipped, week

POSTS = 400


def made(data: Path) -> Path:
    texts = {**TO_THE_BRAND, **ABOUT_THE_BRAND, **OTHER_LANGUAGES}
    for name, file in texts.items():
        folder = data / name
        folder.mkdir()
        with gzip.open(folder / file, "wt", encoding="utf-8", newline="") as out:
            lines = csv.DictWriter(out, ["text"])
            lines.writeheader()
            lines.writerows({"text": f"@united, @ Spotify and apple, number {n} of {name}"} for n in range(60))
    return data


def test_the_week_is_full_and_in_order(tmp_path: Path) -> None:
    actions = week(made(tmp_path), POSTS, seed=1)
    assert POSTS * 0.9 <= len(actions) <= POSTS
    times = [action.at for action in actions]
    assert times == sorted(times)
    assert times[0] >= 0
    assert times[-1] <= DAYS * DAY
    kinds = Counter(action.post["kind"] for action in actions)
    assert kinds["original"] > kinds["repost"] > kinds["reply"] > 0
    ids = [action.post["post_id"] for action in actions]
    assert len(set(ids)) == len(ids)


def test_each_text_is_to_or_about_the_one_brand(tmp_path: Path) -> None:
    actions = week(made(tmp_path), POSTS, seed=1)
    texts = [a.post["text"] for a in actions if a.post["kind"] == "original" and a.post["post_id"].startswith("w")]
    assert texts
    assert all("@acmeair" in text or "Acme Air" in text for text in texts)
    assert [brand.name for brand in shipped().brands] == ["Acme Air"]
