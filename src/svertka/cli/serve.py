"""``svertka serve``."""

from __future__ import annotations

import json as json_module
from typing import Annotated

from cyclopts import Parameter

from svertka.cli._output import Flag, Json, Whole, duration, say
from svertka.commands.serve.command import serve as run_serve
from svertka.commands.serve.result import Serving


def serve(
    *models: str,
    host: str = "127.0.0.1",
    port: Whole = 8000,
    host_name: Annotated[tuple[str, ...], Parameter(negative=())] = (),
    token: Annotated[str | None, Parameter(env_var="SVERTKA_TOKEN", show_env_var=True)] = None,
    places: Whole | None = None,
    max_bytes: Whole = 2**24,
    max_pixels: Whole | None = None,
    seconds: Annotated[float, Parameter(converter=duration)] = 30.0,
    watch: Flag = False,
    json: Json = False,
) -> None:
    """Serve models over HTTP, with a page to ask them on, until SIGTERM or Ctrl-C.

    POST /v1/predict and /v1/explain, GET /v1/models, /healthz, /readyz, /metrics; /docs describes them. SIGHUP opens
    the models again: each takes the place of the one before once it has proven itself.

    Parameters
    ----------
    models
        Model files (.safetensors, .onnx), folders of runs, or networks with published weights; each maybe as NAME=PATH.
        The first answers where a request names none.
    host
        Address to listen on. What others can reach needs a token.
    port
        Port to listen on; 0 takes a free one.
    host_name
        Name of a proxy before this server, such as photos.example.org; may be given several times. By default only
        localhost and the address are asked for; where --host is reached by others, any name.
    token
        What requests have to bring along, in the header Authorization: Bearer TOKEN.
    places
        Images that are decoded, waiting or run at a time; more are refused. By default, as many as are answered in a
        second, 8 to 64.
    max_bytes
        Size of an image file, at most.
    max_pixels
        Size of an image, at most; by default, what is read at all.
    seconds
        For a request's body to come, and again for the answer.
    watch
        Open a model again when its file has changed.
    json
        Print one line of JSON when the models are open.
    """
    run_serve(
        models,
        host=host,
        port=port,
        host_name=host_name,
        token=token,
        places=places,
        max_bytes=max_bytes,
        max_pixels=max_pixels,
        seconds=seconds,
        watch=watch,
        ready=_print_json if json else _print,
        progress=not json,
    )


def _print_json(serving: Serving) -> None:
    print(json_module.dumps(serving.to_json()), flush=True)


def _print(serving: Serving) -> None:
    names = ", ".join(model["name"] for model in serving.models)
    say(f"serving {names} at {serving.address}", flush=True)
