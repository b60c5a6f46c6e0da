"""What the configuration says of brands, as a lane needs it: made whole for each configuration, and read once in a step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from scorer.flags import Flags
from scorer.surge_model import SENSITIVITIES, SurgeRule
from services.config.model import Brand, Config


@dataclass(frozen=True, slots=True)
class Watched:
    """The brands that are watched, by id, and what makes a post about them dangerous or their complaints a surge.

    A brand that is no longer here may still stand in the state of a lane: nothing more is said about it, and its surge ends.
    """

    brands: Mapping[str, Brand]
    flags: Flags = field(default_factory=Flags)

    @classmethod
    def of(cls, config: Config) -> Watched:
        """What this configuration watches, with the finders of all topics built."""
        flags = Flags(config.topics_about)
        flags.prepare(brand.key for brand in config.brands)
        return cls({brand.id: brand for brand in config.brands}, flags)

    def sensitivity(self, brand: str) -> SurgeRule:
        """How readily complaints about the brand count as a surge."""
        known = self.brands.get(brand)
        return SENSITIVITIES["balanced" if known is None else known.surges]


Watching = Callable[[], Watched]
"""Returns what is watched now. A step asks once."""
