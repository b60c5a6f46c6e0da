"""One fake network that is asked in rounds, in the shapes of Reddit, YouTube, Google Play, the App Store and Google's places.

It keeps posts newest first and pages through them; what each network calls a page, a token and a post is in its class.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from services.base.clock import Clock
from tests.contract.sources.network import BRAND, Deed, Fault
from tests.fake_http import FakeServer

PAGE = 2
"""Small, so that the suite pages."""
TOKEN = "token-of-a-test"


@cache
def rsa_pem() -> str:
    return _pem(rsa.generate_private_key(65537, 2048))


@cache
def p256_pem() -> str:
    return _pem(ec.generate_private_key(ec.SECP256R1()))


def _pem(key: Any) -> str:
    text: str = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return text


@dataclass
class Kept:
    id: str
    text: str
    at: datetime
    above: str | None = None
    gone: bool = False


class PolledNetwork:
    """What all of them share."""

    name: str
    deeds = frozenset({Deed.MENTION})
    faults = frozenset({Fault.AWAY, Fault.REFUSAL, Fault.STORM, Fault.SKEW})
    keeps_seconds = 6 * 86_400.0
    pace_seconds = 6.0
    """A tenth of a round: a request takes real time, and must not look like silence on a busy machine."""
    secrets: Mapping[str, str] = {}

    async def start(self, clock: Clock) -> None:
        self._clock = clock
        self._skew = timedelta(0)
        self.kept: list[Kept] = []
        paths = [Route("/login", self._login, methods=["POST"]), Route("/{path:path}", self._list)]
        self.server = FakeServer(paths)
        await self.server.start()

    async def close(self) -> None:
        await self.server.close()

    async def play(self, fault: Fault) -> None:
        match fault:
            case Fault.AWAY:
                await self.server.away()
            case Fault.REFUSAL:
                self.server.refuse(401)
            case Fault.STORM:
                self.server.storm()
            case _:
                self._skew = timedelta(hours=3)

    async def mend(self) -> None:
        self._skew = timedelta(0)
        self.server.mend()
        await self.server.away()
        await self.server.start()

    async def write(self, text: str, deed: Deed = Deed.MENTION, about: str | None = None) -> str:
        if deed is Deed.DELETION:
            found = next(post for post in self.kept if post.id == about)
            found.gone = True
            return found.id
        kept = Kept(self._id(len(self.kept) + 1, deed), text, self._clock.now() + self._skew, about)
        self.kept.append(kept)
        return kept.id

    def _id(self, number: int, deed: Deed) -> str:  # noqa: ARG002 - some networks have ids for each kind
        return f"review-{number}"

    async def _login(self, _: Request) -> Response:
        return JSONResponse({"access_token": TOKEN, "expires_in": 3600, "token_type": "bearer"})

    async def _list(self, request: Request) -> Response:
        if not self._lets_in(request):
            return Response(status_code=401)
        posts = [post for post in reversed(self.kept) if self._stands_in(request, post)]
        begin = int(self._token_of(request) or 0)
        following = str(begin + PAGE) if begin + PAGE < len(posts) else None
        return JSONResponse(self._answer(request, posts[begin : begin + PAGE], following))

    def _lets_in(self, request: Request) -> bool:
        return request.headers.get("authorization") == f"Bearer {TOKEN}"

    def _stands_in(self, request: Request, post: Kept) -> bool:  # noqa: ARG002 - one list for all
        return True

    def _token_of(self, request: Request) -> str | None:
        return request.query_params.get("pageToken")

    def _answer(self, request: Request, posts: Sequence[Kept], following: str | None) -> dict[str, Any]:
        raise NotImplementedError

    def _entry(self, kind: str, **more: Any) -> dict[str, Any]:
        url = self.server.url
        return {"kind": kind, "brands": [BRAND], "every_seconds": 60, "api": url, "login": f"{url}/login", **more}


class RedditNetwork(PolledNetwork):
    name = "reddit"
    deeds = frozenset({Deed.MENTION, Deed.REPLY, Deed.QUOTE, Deed.DELETION})
    secrets: Mapping[str, str] = {
        "CLIENT_ID": "an-app",
        "CLIENT_SECRET": "its-secret",
        "USER_AGENT": "test:firebreak:1 (by /u/acme)",
    }

    def connector(self) -> dict[str, Any]:
        return self._entry("reddit", subreddits=["flights"])

    def _id(self, number: int, deed: Deed) -> str:
        return f"t1_c{number}" if deed is Deed.REPLY else f"t3_s{number}"

    def _stands_in(self, request: Request, post: Kept) -> bool:
        return post.id.startswith("t1_" if request.url.path.endswith("/comments") else "t3_")

    def _token_of(self, request: Request) -> str | None:
        return request.query_params.get("after")

    def _answer(self, request: Request, posts: Sequence[Kept], following: str | None) -> dict[str, Any]:  # noqa: ARG002
        children = [{"kind": post.id[:2], "data": self._post(post)} for post in posts]
        return {"kind": "Listing", "data": {"children": children, "after": following, "before": None}}

    def _post(self, post: Kept) -> dict[str, Any]:
        text = "[deleted]" if post.gone else post.text
        data = {
            "name": post.id,
            "created_utc": post.at.timestamp(),
            "edited": False,
            "author": "[deleted]" if post.gone else "mia",
            "author_fullname": None if post.gone else "t2_mia",
            "permalink": "/r/flights/comments/x/",
        }
        if post.id.startswith("t1_"):
            return {**data, "body": text, "link_id": post.above, "parent_id": post.above, "replies": ""}
        crosspost = {"crosspost_parent": post.above} if post.above else {}
        return {**data, "title": "A trip", "selftext": text, "is_self": True, **crosspost}


class YouTubeNetwork(PolledNetwork):
    name = "youtube"
    secrets: Mapping[str, str] = {"API_KEY": "a-key-of-a-test"}

    def connector(self) -> dict[str, Any]:
        return self._entry("youtube", channels=["UC" + "x" * 22], units_per_day=1_000_000)

    def _id(self, number: int, deed: Deed) -> str:  # noqa: ARG002
        return f"Ug{number:024}"

    def _lets_in(self, request: Request) -> bool:
        return request.headers.get("x-goog-api-key") == "a-key-of-a-test" and "key" not in request.query_params

    def _answer(self, request: Request, posts: Sequence[Kept], following: str | None) -> dict[str, Any]:  # noqa: ARG002
        items = [self._thread(post) for post in posts]
        return {"kind": "youtube#commentThreadListResponse", "items": items, "nextPageToken": following}

    def _thread(self, post: Kept) -> dict[str, Any]:
        at = post.at.isoformat().replace("+00:00", "Z")
        said = {
            "textDisplay": post.text,
            "videoId": "v" * 11,
            "authorDisplayName": "@mia",
            "authorChannelId": {"value": "UCmia"},
            "likeCount": 0,
            "publishedAt": at,
            "updatedAt": at,
        }
        top = {"id": post.id, "snippet": said}
        return {"id": post.id, "snippet": {"videoId": "v" * 11, "topLevelComment": top, "totalReplyCount": 0}}


class GooglePlayNetwork(PolledNetwork):
    name = "google-play"

    @property
    def secrets(self) -> Mapping[str, str]:  # type: ignore[override]
        return {"SERVICE_ACCOUNT": json.dumps({"client_email": "ears@acme.test", "private_key": rsa_pem()})}

    def connector(self) -> dict[str, Any]:
        return self._entry("google_play", apps=["com.acme.air"])

    def _token_of(self, request: Request) -> str | None:
        return request.query_params.get("token")

    def _answer(self, request: Request, posts: Sequence[Kept], following: str | None) -> dict[str, Any]:  # noqa: ARG002
        if not posts:
            return {}
        reviews = [
            {"reviewId": post.id, "authorName": "Mia", "comments": [{"userComment": self._comment(post)}]}
            for post in posts
        ]
        return {"reviews": reviews, "tokenPagination": {"nextPageToken": following}}

    def _comment(self, post: Kept) -> dict[str, Any]:
        seconds = str(int(post.at.timestamp()))
        return {"text": f"\t{post.text}", "starRating": 1, "lastModified": {"seconds": seconds, "nanos": 0}}


class AppStoreNetwork(PolledNetwork):
    name = "app-store"

    @property
    def secrets(self) -> Mapping[str, str]:  # type: ignore[override]
        return {"KEY_ID": "K1", "ISSUER_ID": "I1", "PRIVATE_KEY": p256_pem().replace("\n", "\\n")}

    def connector(self) -> dict[str, Any]:
        return self._entry("app_store", apps=["682658836"])

    def _lets_in(self, request: Request) -> bool:
        return request.headers.get("authorization", "").count(".") == 2

    def _token_of(self, request: Request) -> str | None:
        return request.query_params.get("cursor")

    def _answer(self, request: Request, posts: Sequence[Kept], following: str | None) -> dict[str, Any]:
        data = [
            {
                "type": "customerReviews",
                "id": post.id,
                "attributes": {"rating": 1, "title": None, "body": post.text, "createdDate": post.at.isoformat()},
            }
            for post in posts
        ]
        links = {"self": str(request.url)}
        if following:  # another host: the token must not follow it there
            links["next"] = f"https://elsewhere.test/v1/apps/1/customerReviews?cursor={following}"
        return {"data": data, "links": links}


class GoogleBusinessNetwork(PolledNetwork):
    name = "google-business"
    secrets: Mapping[str, str] = {"CLIENT_ID": "an-app", "CLIENT_SECRET": "its-secret", "REFRESH_TOKEN": "for-ever"}

    def connector(self) -> dict[str, Any]:
        return self._entry("google_business", locations=["accounts/1/locations/2"])

    def _answer(self, request: Request, posts: Sequence[Kept], following: str | None) -> dict[str, Any]:  # noqa: ARG002
        reviews = [
            {
                "reviewId": post.id,
                "starRating": "ONE",
                "comment": post.text,
                "createTime": post.at.isoformat(),
                "updateTime": post.at.isoformat(),
            }
            for post in posts
        ]
        return {"reviews": reviews, "nextPageToken": following or ""}
