"""A server in a process of its own that answers 50 images a second, whatever the machine: its engine sleeps."""

from __future__ import annotations

import json
import sys

from sites import Engine, proven, source

from svertka.serving.app import Application
from svertka.serving.keeping import Keeper
from svertka.serving.limits import Limits
from svertka.serving.metrics import Metrics
from svertka.serving.models import Shelf
from svertka.serving.running import Server, address_of, bind, host_names, run

SECONDS = 0.02


def main() -> None:
    shelf = Shelf({"slow": source(proven(Engine(SECONDS)))}, say=[].append, warn=[].append)
    application = Application(shelf, limits=Limits(), places=16, threads=2, version="test", metrics=Metrics())
    guarded = application.guarded(hosts=host_names("127.0.0.1"), token=None, report=print)
    bound = bind("127.0.0.1", 0)

    def ready() -> None:
        print(json.dumps({"address": address_of(bound)}), flush=True)

    async def nothing() -> None:
        pass

    run(Server(guarded, Limits()), bound, load=Keeper(application).load, ready=ready, hang_up=nothing)
    print("ended", file=sys.stderr)


if __name__ == "__main__":
    main()
