"""`/metrics`: who may read it, where, and whether it names brands."""

from __future__ import annotations

import hmac
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Final

from fastapi import FastAPI, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.samples import Sample

from services.base.settings import Settings

BRAND: Final = "brand"


class Exposition:
    """The metrics of one process. `refresh` is called before they are read."""

    def __init__(self, settings: Settings, registry: CollectorRegistry, refresh: Callable[[], None]) -> None:
        token = settings.metrics_token
        self._token = None if token is None else token.get_secret_value().encode()
        self._registry = registry if settings.metrics_brands else _WithoutBrands(registry)
        self._refresh = refresh

    def mount(self, app: FastAPI) -> None:
        @app.get("/metrics", tags=["operation"], summary="Prometheus text format", response_class=Response)
        async def exposition(request: Request) -> Response:
            if not self._may(request):
                return Response("needs the token of FIREBREAK_METRICS_TOKEN\n", 401, {"www-authenticate": "Bearer"})
            self._refresh()
            return Response(generate_latest(self._registry), media_type=CONTENT_TYPE_LATEST)

    def _may(self, request: Request) -> bool:
        if self._token is None:
            return True
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        # Compared even if the scheme is wrong, and as bytes, because `compare_digest` takes no other letters than ASCII.
        right = hmac.compare_digest(given.strip().encode("utf-8", "replace"), self._token)
        return scheme.lower() == "bearer" and right


class _WithoutBrands(CollectorRegistry):
    """The same metrics, with the series of all brands added up into one: who the customers are is not for everybody who may
    see whether the service is well."""

    def __init__(self, inner: CollectorRegistry) -> None:
        super().__init__(auto_describe=False)
        self._inner = inner

    def collect(self) -> Iterator[Metric]:
        for metric in self._inner.collect():
            yield _summed(metric) if any(BRAND in sample.labels for sample in metric.samples) else metric


def _summed(metric: Metric) -> Metric:
    sums: defaultdict[tuple[str, tuple[tuple[str, str], ...]], float] = defaultdict(float)
    for sample in metric.samples:
        rest = tuple((name, value) for name, value in sample.labels.items() if name != BRAND)
        if not sample.name.endswith("_created"):
            sums[sample.name, rest] += sample.value
    summed = Metric(metric.name, metric.documentation, metric.type, metric.unit)
    summed.samples = [Sample(name, dict(labels), value) for (name, labels), value in sums.items()]
    return summed
