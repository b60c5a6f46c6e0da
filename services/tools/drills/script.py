"""The format of a drill (`deploy/drills/*.yaml`): who posts what and when, which crowds follow, who must be told by when.

Times are story time from the start: `90s`, `15m`, `2h30m`. Texts may offer a choice, `{terrible|awful}`; crowds draw from
seeded distributions, so the same seed plays the same night.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from services.base.errors import ConfigError
from services.config.model import Config
from services.config.yaml_reading import read
from services.tools.shipped import drill

_DURATION = re.compile(r"^(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?$")


def _seconds(value: Any) -> Any:
    if isinstance(value, str):
        match = _DURATION.match(value)
        if not value or match is None:
            raise ValueError("a time is written like 90s, 15m or 2h30m")
        hours, minutes, seconds = (float(part or 0) for part in match.groups())
        return hours * 3600 + minutes * 60 + seconds
    return value


Seconds = Annotated[float, BeforeValidator(_seconds), Field(ge=0, le=14 * 86_400)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]


class Piece(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Voice(Piece):
    handle: str
    followers: Annotated[int, Field(ge=0)] | None = None
    age_days: Annotated[float, Field(ge=0)] | None = Field(None, description="age of the account; unknown without it")


class Post(Piece):
    """One post, by somebody with a name."""

    at: Seconds
    id: Name
    by: Voice
    text: str
    answers: Name | None = None
    quotes: Name | None = None


class Followers(Piece):
    """Log-normal."""

    median: Annotated[float, Field(gt=0)] = 250
    sigma: Annotated[float, Field(ge=0, le=4)] = 1.3


class Crowd(Piece):
    """Many people doing the same kind of thing. Arrival times are log-normal after `begins` with the given median, or
    even over `lasts`; with `to` they act on that post, without it each writes a post of their own."""

    id: Name
    does: Literal["repost", "reply", "quote", "post"]
    to: Name | None = None
    begins: Seconds
    count: Annotated[int, Field(ge=1, le=100_000)]
    median: Seconds | None = None
    sigma: Annotated[float, Field(gt=0, le=3)] = 0.8
    lasts: Seconds | None = None
    followers: Followers = Followers()
    age_days: Annotated[float, Field(ge=0)] | None = None
    texts: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _whole(self) -> Crowd:
        if (self.does == "post") == (self.to is not None):
            raise ValueError("`to` names the post that reposts, replies and quotes go to; posts of their own have none")
        if (self.median is None) == (self.lasts is None):
            raise ValueError("give either `median` (log-normal arrivals) or `lasts` (even arrivals)")
        if self.does != "repost" and not self.texts:
            raise ValueError(f"a crowd that does {self.does!r} needs `texts`")
        return self


class Expectation(Piece):
    """Somebody must be told: about the story that began with the post `about` (any story without it)."""

    brand: str
    about: Name | None = None
    told_by: Seconds | None = None
    told_from: Seconds | None = Field(
        None, description="not earlier than this, because a silence holds it back until then"
    )
    before_the_line: bool = False
    severity_at_most: Annotated[int, Field(ge=1, le=4)] = Field(4, description="1 is the worst")
    never_worse_than: Annotated[int, Field(ge=1, le=4)] = Field(1, description="1 is the worst")
    says: tuple[str, ...] = ()
    endpoint: str | None = Field(None, description="look at what this endpoint was told; at all of them without it")
    type: str = Field(
        "incident", description="type of the messages; those of `answer.due` are digests of overdue answers"
    )
    at_most: Annotated[int, Field(ge=1)] | None = Field(
        None, description="most messages about it that one endpoint may get"
    )
    numbers_of_now: bool = Field(
        False,
        description="each message gives the size of the conversation of `about`, at most two minutes or a tenth old",
    )
    after: Seconds = Field(0, description="look only at messages from then on")

    @model_validator(mode="after")
    def _numbers_of_one_story(self) -> Expectation:
        if self.numbers_of_now and self.about is None:
            raise ValueError("`numbers_of_now` needs `about`, the post whose conversation is counted")
        return self


class Silence(Piece):
    """Nobody may be told about this brand; with `about`, about this story of it; with `endpoint`, at this endpoint."""

    brand: str
    about: Name | None = None
    endpoint: str | None = None
    type: str = Field("incident", description="type of the messages")
    after: Seconds = Field(0, description="look only at messages from then on")
    says: str | None = Field(None, description="look only at messages that say this")


class Outage(Piece):
    """An endpoint answers 503 for a while."""

    endpoint: str
    begins: Seconds
    lasts: Seconds


class Deed(Piece):
    """Somebody acknowledges, or resolves, every incident of a brand that is open then, over the API, as people do."""

    at: Seconds
    brand: str
    by: str


class Silenced(Piece):
    """Somebody silences a brand for a while, over the API, as people do; with `covers: volume` a campaign is muted."""

    at: Seconds
    lasts: Seconds
    brand: str
    by: str = "dana"
    comment: str = ""
    covers: Literal["all", "volume"] = "all"


class Heartbeats(Piece):
    """A connector says that it works, every so often."""

    connector: Name = "firehose"
    begins: Seconds = 0
    ends: Seconds
    every: Annotated[Seconds, Field(ge=30)]


class SourceGap(Piece):
    """A connector says that it misses posts, and later that it hears again."""

    connector: Name = "firehose"
    begins: Seconds
    ends: Seconds | None = None


class Later(Piece):
    reason: str


class Script(Piece):
    title: str
    story: str
    network: Annotated[str, Field(pattern=r"^[a-z0-9_-]+$")] = "x"
    lasts: Seconds
    seed: int = 1
    config: Config
    posts: tuple[Post, ...] = ()
    crowds: tuple[Crowd, ...] = ()
    silences: tuple[Silenced, ...] = ()
    outages: tuple[Outage, ...] = ()
    acknowledgements: tuple[Deed, ...] = ()
    resolutions: tuple[Deed, ...] = ()
    heartbeats: tuple[Heartbeats, ...] = ()
    gaps: tuple[SourceGap, ...] = ()
    expect: tuple[Expectation, ...] = ()
    never: tuple[Silence, ...] = ()
    expected: Literal["now"] | Later = "now"

    @model_validator(mode="after")
    def _names_lead_somewhere(self) -> Script:
        ids = {post.id for post in self.posts}
        for kind, name in [
            *(("posts.answers", p.answers) for p in self.posts),
            *(("posts.quotes", p.quotes) for p in self.posts),
            *(("crowds.to", c.to) for c in self.crowds),
            *(("expect.about", e.about) for e in self.expect),
            *(("never.about", s.about) for s in self.never),
        ]:
            if name is not None and name not in ids:
                raise ValueError(f"{kind}: there is no post {name!r}; there are {', '.join(sorted(ids))}")
        return self


def load(path: Path) -> Script:
    """The drill in `path`, or the one that ships under that name. Raises `ConfigError` that names the file and the field."""
    path = drill(path)
    try:
        return Script.model_validate(read(path.read_text(encoding="utf-8"), str(path)).content)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 at byte {error.start}") from error
    except ValidationError as error:
        lines = [f"{path}: {'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_url=False)]
        raise ConfigError("\n".join(lines)) from error
