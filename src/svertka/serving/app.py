"""The application: what is asked of which path, and what is answered."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import functools
import io
import time
from collections.abc import AsyncIterator, Callable, Collection, Coroutine
from typing import Any, TypeVar

from PIL import Image as Pillow
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive

from svertka.errors import UserError, nearest
from svertka.results import Result
from svertka.runtime.image import ImageError, TooLargeError, decode
from svertka.serving.bodies import Store, image_file, media_type, read_body
from svertka.serving.guard import Guard
from svertka.serving.limits import Limits
from svertka.serving.metrics import CONTENT_TYPE, Metrics
from svertka.serving.models import Explanation, Image, Model, Shelf
from svertka.serving.openapi import document
from svertka.serving.pages import PAGES, page
from svertka.serving.pipeline import Pipeline
from svertka.serving.refusals import RefusedError, json_bytes, json_response

_GONE = 499  # as other servers count clients that went away
_SIDE = 1024  # pixels of a picture that is sent, at most
_END_SECONDS = 0.5  # for threads to end
_LEAST_PLACES = 8

T = TypeVar("T")
_Work = Callable[[Callable[[], Image], float], Coroutine[Any, Any, bytes]]
"""Answers for an image that a function gives, and knows when it was there to be decoded."""


class Application:
    """What the server answers.

    Args:
        shelf: The models; until they are open, requests for them are refused with 503.
        limits: Of one request.
        places: Images inside at a time; None for as many as are answered in a second, once that is known.
        threads: That decode images.
        version: Of this release.
        metrics: Are counted on.
    """

    def __init__(
        self, shelf: Shelf, *, limits: Limits, places: int | None, threads: int, version: str, metrics: Metrics
    ) -> None:
        self.shelf, self.limits, self.metrics = shelf, limits, metrics
        self._places = places
        self.pipeline = Pipeline(most=places or _LEAST_PLACES, threads=threads, metrics=metrics)
        self._store = Store()
        self._description = json_bytes(document(version, limits))

    def begin(self) -> None:
        """Answer with the models, which are open now."""
        self.pipeline.allow(self._places or _places(self.shelf.models))
        self.count_models()

    def count_models(self) -> None:
        """Let the metrics know of the models as they are now."""
        for model in self.shelf.models:
            self.metrics.batch_limit.labels(model.name).set(model.batch)
            self.metrics.rate.labels(model.name).set(model.rate)

    def guarded(
        self,
        *,
        hosts: Collection[str] | None,
        token: str | None,
        report: Callable[[str], None],
        proxies: Collection[str] = (),
    ) -> Guard:
        """All of it as an ASGI application; see `Guard`."""
        routes = [
            Route("/v1/predict", self._predict, methods=["POST"]),
            Route("/v1/explain", self._explain, methods=["POST"]),
            Route("/v1/models", self._models),
            Route("/healthz", _alive),
            Route("/readyz", self._ready),
            Route("/metrics", self._metrics),
            Route("/openapi.json", self._openapi),
            *(Route(path, functools.partial(page, name, kind)) for path, (name, kind) in PAGES.items()),
        ]
        app = Starlette(
            routes=routes,
            exception_handlers={
                RefusedError: _refusal,
                HTTPException: _plain_refusal,
                UserError: _mistake,
                ClientDisconnect: _farewell,
                Exception: _mistake,
            },
            lifespan=self._lifespan,
        )
        app.router.redirect_slashes = False
        return Guard(
            app,
            hosts=hosts,
            proxies=proxies,
            token=token,
            open_paths=[*PAGES, "/healthz", "/readyz", "/openapi.json"],
            paths=[route.path for route in routes],
            metrics=self.metrics,
            report=report,
        )

    @contextlib.asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        del app
        yield
        self.pipeline.close(_END_SECONDS)

    async def _predict(self, request: Request) -> Response:
        asked = _parameters(request, {"model", "drawn"})
        model = self.shelf.find(asked.get("model"))
        drawn = _flag(asked, "drawn")

        def finish(started: float, image: Image | None, result: Result) -> bytes:
            picture = None if image is None or not result.located else _data_url(result.shown(image))
            said = {"model": model.name, "line": result.line(), "result": result.to_json(), "drawn": picture}
            return json_bytes({**said, "seconds": _since(started)})

        def work(image: Callable[[], Image], started: float) -> Coroutine[Any, Any, bytes]:
            return self.pipeline.predict(model, image, functools.partial(finish, started), keep=drawn)

        return await self._answer(request, work)

    async def _explain(self, request: Request) -> Response:
        asked = _parameters(request, {"model", "class"})
        model = self.shelf.find(asked.get("model"))
        if model.opened.explain is None:
            raise RefusedError(501, f"{model.name} cannot be explained here", mend=model.opened.unexplained)
        target, classes = asked.get("class"), model.opened.predictor.card.classes
        if target is not None and target not in classes:
            mend = nearest(target[:80], classes[:1000])
            raise RefusedError(404, f"the model knows no class {target[:80]!r}", where="class", mend=mend)

        def finish(started: float, found: Explanation) -> bytes:
            said = {"model": model.name, "method": "grad_cam", "class": found.name, "layer": found.layer}
            return json_bytes({**said, "picture": _data_url(found.picture), "seconds": _since(started)})

        def work(image: Callable[[], Image], started: float) -> Coroutine[Any, Any, bytes]:
            return self.pipeline.explain(model, image, target, functools.partial(finish, started))

        return await self._answer(request, work)

    async def _answer(self, request: Request, work: _Work) -> Response:
        kind = media_type(request.headers, self.limits)
        self.pipeline.check_room()  # before anything is read
        with self._store.holding() as holding:
            most = self.limits.body(kind)
            try:
                async with asyncio.timeout(self.limits.seconds):
                    body = await read_body(request.receive, most, self.limits, holding)
            except TimeoutError as error:
                mend = f"within {self.limits.seconds:g} s"
                raise RefusedError(408, "the body did not come", where="body", mend=mend, close=True) from error
            started = time.perf_counter()

            def image() -> Image:
                return _decoded(kind, request.headers, body, self.limits)

            try:
                async with asyncio.timeout(self.limits.seconds):
                    answer = await _unless_gone(request.receive, work(image, started))
            except TimeoutError as error:
                what = f"no answer was found within {self.limits.seconds:g} s"
                raise RefusedError(503, what, mend="try again", headers={"Retry-After": "1"}) from error
        return Response(answer, media_type="application/json")

    async def _models(self, request: Request) -> Response:
        _parameters(request, set())
        self.shelf.check_loaded()
        limits = {**vars(self.limits), "images": self.pipeline.most}
        return json_response({"models": [model.to_json() for model in self.shelf.models], "limits": limits})

    async def _ready(self, request: Request) -> Response:
        del request
        if not self.pipeline.alive:
            raise RefusedError(503, "nothing runs any more", mend="start the server again")
        self.shelf.check_loaded()
        return Response("ready\n", media_type="text/plain")

    async def _metrics(self, request: Request) -> Response:
        del request
        return Response(self.metrics.text(), headers={"content-type": CONTENT_TYPE})

    async def _openapi(self, request: Request) -> Response:
        del request
        return Response(self._description, media_type="application/json")


def _places(models: Collection[Model]) -> int:
    # Whoever comes in waits for about a second, at most.
    slowest = min(models, key=lambda model: model.rate)
    return round(min(64, max(_LEAST_PLACES, 2 * slowest.batch, slowest.rate)))


async def _unless_gone(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """What the work gives, unless the client goes away first: it is cut off then.

    Raises:
        ClientDisconnect: The client went away.
    """
    doing, leaving = asyncio.ensure_future(work), asyncio.ensure_future(_gone(receive))
    try:
        await asyncio.wait({doing, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if doing.done():
            return doing.result()
        raise ClientDisconnect
    finally:
        doing.cancel()
        leaving.cancel()
        await asyncio.gather(doing, leaving, return_exceptions=True)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _decoded(kind: str, headers: Headers, body: bytes, limits: Limits) -> Image:
    data = image_file(kind, headers.get("content-type", ""), body, limits)
    try:
        return decode(data, max_pixels=limits.pixels)
    except ImageError as error:
        status = 413 if isinstance(error, TooLargeError) else 422
        raise RefusedError(status, error.what, where="image", mend=error.mend) from error


def _data_url(picture: Image) -> str:
    shown, file = Pillow.fromarray(picture), io.BytesIO()
    shown.thumbnail((_SIDE, _SIDE))
    shown.save(file, "PNG", compress_level=1)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode('ascii')}"


def _since(started: float) -> float:
    return round(time.perf_counter() - started, 6)


def _parameters(request: Request, known: set[str]) -> dict[str, str]:
    for name in request.query_params:
        if name not in known:
            mend = nearest(name[:80], known) if known else "it takes none"
            raise RefusedError(400, f"unknown parameter {name[:80]!r}", where="query", mend=mend)
    return dict(request.query_params)


def _flag(asked: dict[str, str], name: str) -> bool:
    if asked.get(name, "false") not in ("true", "false"):
        raise RefusedError(400, f"{name} is neither true nor false", where="query")
    return asked.get(name) == "true"


async def _alive(request: Request) -> Response:
    del request
    return Response("alive\n", media_type="text/plain")


async def _refusal(request: Request, error: Exception) -> Response:
    del request
    assert isinstance(error, RefusedError)
    # Its traceback holds what was looked at, the body among it, and is held by it in turn until the next collection.
    error.__traceback__ = error.__cause__ = error.__context__ = None
    return error.response()


async def _plain_refusal(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    says = {404: "there is nothing here", 405: f"{request.method[:20]} is not for this path"}
    return RefusedError(
        error.status_code,
        says.get(error.status_code, error.detail),
        where=request.scope["path"][:200],
        mend="see /docs",
        headers=error.headers,
    ).response()


async def _mistake(request: Request, error: Exception) -> Response:
    del request
    if isinstance(error, UserError):  # of a model's file
        return RefusedError(500, error.what, where=error.where, mend=error.mend).response()
    return RefusedError(500, "a mistake in the server", mend="what happened is in its log").response()


async def _farewell(request: Request, error: Exception) -> Response:
    del request, error
    return Response(status_code=_GONE)
