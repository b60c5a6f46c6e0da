"""How an endpoint of kind `http` is set up: its recipe, what is filled into it, and how we prove who we are. Pure, but for the
environment that secrets are taken from.

Secrets stand in the environment, in variables whose names begin with `FIREBREAK_OUTLET_`: an endpoint can name no other, so
that whoever may create endpoints can send nobody the other secrets of this process.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, Final, Literal

from pydantic import Field, StringConstraints, model_validator

from alerter.notify.tickets.recipe import Name, Recipe, Text, shipped, shipped_names
from services.config.section import Section

PREFIX: Final = "FIREBREAK_OUTLET_"
MAX_OPTIONS_CHARS: Final = 64_000

Variable = Annotated[str, StringConstraints(pattern=rf"^{PREFIX}[A-Z0-9_]{{1,60}}$")]
Printable = Annotated[str, StringConstraints(pattern=r"^[\x20-\x7e]{1,500}$")]


class BearerAuth(Section):
    """A token. Some systems have a word of their own in front of it."""

    kind: Literal["bearer"]
    token_env: Variable
    scheme: Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9-]{0,30}$")] = "Bearer"

    def variables(self) -> tuple[str, ...]:
        return (self.token_env,)


class HeaderAuth(Section):
    """A token in a header of its own."""

    kind: Literal["header"]
    header: Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,99}$")]
    token_env: Variable

    def variables(self) -> tuple[str, ...]:
        return (self.token_env,)


class BasicAuth(Section):
    """A user and a password. With some systems the secret is the user, and the password says nothing."""

    kind: Literal["basic"]
    user: Printable | None = None
    user_env: Variable | None = None
    password: Literal["X", ""] | None = None
    password_env: Variable | None = None

    @model_validator(mode="after")
    def _both(self) -> BasicAuth:
        if (self.user is None) == (self.user_env is None) or (self.password is None) == (self.password_env is None):
            raise ValueError("give user or user_env, and password_env (or the password X where the user is the secret)")
        if self.user is not None and ":" in self.user:
            raise ValueError("a user has no colon")
        return self

    def variables(self) -> tuple[str, ...]:
        return tuple(one for one in (self.user_env, self.password_env) if one is not None)


class ClientCredentials(Section):
    """OAuth 2.0 (RFC 6749, section 4.4): a token is fetched with our id and secret, and kept until shortly before its end."""

    kind: Literal["oauth2"]
    token_url: Annotated[str, StringConstraints(max_length=2000)]
    client_id: Printable
    client_secret_env: Variable
    scope: Printable | None = None
    sends: Literal["basic", "body"] = Field("basic", description="where the id and the secret stand in the request")

    def variables(self) -> tuple[str, ...]:
        return (self.client_secret_env,)


OutletAuth = Annotated[BearerAuth | HeaderAuth | BasicAuth | ClientCredentials, Field(discriminator="kind")]


class TicketSetup(Section):
    """The `options` of an endpoint of kind `http`."""

    recipe: str | None = Field(None, description="one of the shipped ones", max_length=40)
    own_recipe: Recipe | None = Field(None, description="a recipe of your own, in the form of the shipped ones")
    values: dict[Name, Text] = Field({}, max_length=30, description="what the recipe asks for; no secrets")
    auth: OutletAuth | None = None

    @model_validator(mode="before")
    @classmethod
    def _bounded(cls, given: Any) -> Any:
        """Before its templates are looked at, which takes a while."""
        if len(json.dumps(given, default=str)) > MAX_OPTIONS_CHARS:
            raise ValueError(f"has more than {MAX_OPTIONS_CHARS} characters")
        return given

    @model_validator(mode="after")
    def _usable(self) -> TicketSetup:
        if (self.recipe is None) == (self.own_recipe is None):
            raise ValueError("give recipe, the name of a shipped one, or own_recipe")
        if self.recipe is not None and self.recipe not in shipped_names():
            raise ValueError(f"there is no recipe {self.recipe}; there are {', '.join(shipped_names())}")
        self.used().filled_in(self.values)
        return self

    def used(self) -> Recipe:
        if self.own_recipe is not None:
            return self.own_recipe
        assert self.recipe is not None
        return shipped(self.recipe)

    def urls(self) -> Iterator[tuple[str, str]]:
        """Yields the URLs beside the endpoint's own that requests go to, each with where it stands."""
        if isinstance(self.auth, ClientCredentials):
            yield "auth.token_url", self.auth.token_url

    def missing(self, environment: Mapping[str, str]) -> tuple[str, ...]:
        """Returns the variables that are not set."""
        names = self.auth.variables() if self.auth is not None else ()
        return tuple(name for name in names if not environment.get(name))


@dataclass(frozen=True, slots=True)
class Prepared:
    """A setup as it is used: read once."""

    setup: TicketSetup
    recipe: Recipe
    values: Mapping[str, str]


def prepared(options: Mapping[str, Any]) -> Prepared:
    """Returns the setup in an endpoint's options, which were checked when it was created."""
    return _prepared(json.dumps(options, sort_keys=True))


@lru_cache(maxsize=512)
def _prepared(text: str) -> Prepared:
    setup = TicketSetup.model_validate_json(text)
    recipe = setup.used()
    return Prepared(setup, recipe, recipe.filled_in(setup.values))
