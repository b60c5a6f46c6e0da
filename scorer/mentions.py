"""How far a post is about each brand, by the places that its event carries. Pure.

Records of version 1 do not say where the text names brands. They are kept for a week at most; until then those brands that
ingest had found are looked for once more, by the same definition of a name (`services.contracts.names`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from scorer.sentiment.relevance import BrandRelevance, judge
from services.config.model import Brand
from services.contracts.names import NameFinder, mentions_of
from services.contracts.post import Mention, PostObserved


def relevances(
    post: PostObserved, concerned: Sequence[str], brands: Mapping[str, Brand]
) -> Mapping[str, BrandRelevance]:
    """How far the post is about each brand that it names and each that its conversation is about (`concerned`); `brands`
    are those that are configured."""
    inherited = [*concerned, *(brand for brand in post.brands if brand not in concerned)]
    return judge(post.text or "", mentions_in(post, brands), author=post.author_brand, inherited=inherited)


def mentions_in(post: PostObserved, brands: Mapping[str, Brand]) -> Sequence[Mention]:
    """Where the post names brands."""
    if post.mentions is not None:
        return post.mentions
    finder = NameFinder(brand for name in post.brands if (brand := brands.get(name)) is not None)
    return mentions_of(finder.find(post.network, post.text or "", post.brands))
