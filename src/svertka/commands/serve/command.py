"""Serve: what models say of images, over HTTP, and a page to ask them on."""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
from collections.abc import Callable, Sequence
from os import PathLike
from typing import TYPE_CHECKING

from svertka.commands.serve.result import Serving
from svertka.errors import UserError
from svertka.runtime.cores import available_cores
from svertka.runtime.image import MAX_PIXELS
from svertka.spelling import seconds_of, texts_of
from svertka.workflows.progress import Display

if TYPE_CHECKING:
    import socket

    from svertka.serving.app import Application
    from svertka.serving.guard import Guard
    from svertka.serving.limits import Limits

_LEAST_TOKEN = 16  # characters


def serve(
    models: str | PathLike[str] | Sequence[str | PathLike[str]],
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    host_name: str | Sequence[str] = (),
    token: str | None = None,
    places: int | None = None,
    max_bytes: int = 2**24,
    max_pixels: int | None = None,
    seconds: float | str = 30.0,
    watch: bool = False,
    ready: Callable[[Serving], None] | None = None,
    progress: bool = True,
) -> None:
    """Serve models over HTTP until SIGTERM, Ctrl-C or `Serving.stop`; what has come is answered then, within 10 s.

    No connection is ever opened from here. Every model gives its golden outputs before it answers. On SIGHUP, models
    are opened again, and each takes the place of the one before once it has proven itself; requests do not notice.

    Args:
        models: Model files (.safetensors, .onnx), folders of runs, or names of published weights, each maybe as
            ``NAME=PATH``. The first one answers where none is named. Predictions of a run are those of its exported
            ``model.onnx``, where that has the same weights: it needs no torch, and is quicker.
        host: Address to listen on. What others can reach needs a token.
        port: To listen on; 0 takes a free one.
        host_name: Names of proxies before this server, one or several. They are allowed beyond localhost and the
            address.
        token: What requests have to bring along.
        places: Images that are decoded, waiting or run at a time; more are refused. By default, as many as are answered
            in a second, 8 to 64.
        max_bytes: Of an image file.
        max_pixels: Of an image; by default, as many as are read at all.
        seconds: For a request's body to come, and again for the answer.
        watch: Open a model again when its file has changed.
        ready: Called when the models are open. The server listens before, and says that they are loading.
        progress: Say on standard error what is done.

    Raises:
        UserError: A model is missing, damaged or not what its file says; the address cannot be listened on, or needs a
            token; a host's name is none; or a limit is out of range.
    """
    _check_installed()
    from svertka.serving.limits import Limits
    from svertka.serving.running import bind, host_names, is_loopback, proxy_names

    display, wait = Display(show=progress), seconds_of(seconds)
    limits = Limits(bytes=max_bytes, pixels=MAX_PIXELS if max_pixels is None else max_pixels, seconds=wait)
    if places is not None and places < 1:
        raise UserError(f"{places} places", mend="at least 1")
    _check_token(token, host=None if is_loopback(host) else host)
    proxies = proxy_names(texts_of(host_name))
    with contextlib.closing(bind(host, port)) as bound:
        application = _application(texts_of(models), limits, places, display)
        hosts = host_names(host, proxies)
        guarded = application.guarded(hosts=hosts, proxies=proxies, token=token, report=display.warn)
        _run(application, guarded, bound, watch=watch, ready=ready)


def _check_installed() -> None:
    try:
        importlib.import_module("svertka.serving.running")
    except ModuleNotFoundError as error:
        raise UserError(f"serving needs {error.name}", mend="pip install 'svertka[serve]'") from error


def _application(models: Sequence[str], limits: Limits, places: int | None, display: Display) -> Application:
    from svertka.commands.serve.sources import sources_of
    from svertka.serving.app import Application
    from svertka.serving.metrics import Metrics
    from svertka.serving.models import Shelf

    return Application(
        Shelf(sources_of(models, display.say), say=display.say, warn=display.warn),
        limits=limits,
        places=places,
        threads=available_cores(),
        version=importlib.metadata.version("svertka"),
        metrics=Metrics(),
    )


def _run(
    application: Application,
    guarded: Guard,
    bound: socket.socket,
    *,
    watch: bool,
    ready: Callable[[Serving], None] | None,
) -> None:
    from svertka.serving.keeping import Keeper
    from svertka.serving.running import Server, address_of, run

    server, keeper = Server(guarded, application.limits), Keeper(application)

    def opened() -> None:
        told = tuple(model.to_json() for model in application.shelf.models)
        if ready is not None:
            ready(Serving(address_of(bound), told, server.stop))

    beside = [keeper.watch] if watch else []
    run(server, bound, load=keeper.load, ready=opened, hang_up=keeper.reload_all, beside=beside)


def _check_token(token: str | None, *, host: str | None) -> None:
    if token is None:
        if host is not None:
            what = f"whoever reaches {host} could ask"
            raise UserError(what, where="--token", mend="give a --token, or SVERTKA_TOKEN")
        return
    if len(token) < _LEAST_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
        raise UserError(
            f"a token has at least {_LEAST_TOKEN} letters, digits and signs of ASCII",
            where="--token",
            mend="python -c 'import secrets; print(secrets.token_urlsafe())' makes one",
        )
