"""A server under more load than it can bear, under attack, and told to stop.

    python benchmarks/soak.py MODEL.onnx IMAGES [--seconds 60] [--clients 64] [--attacks 100]

starts `svertka serve` in a process of its own and then

- finds its peak: the most right answers a second, for 2, 4, 8 and 16 clients that each wait for their answer, once
  more after what follows, for the machine may do other things meanwhile;
- lets 64 clients ask four times as often, one in ten requests malformed, while another looks whether it is alive:
  only 200, 4xx and 503; refused within 250 ms and alive within 500 ms (99 of 100); what is answered is what
  `svertka predict` says of that image, within 1e-4; at least 80 % of the peak is answered;
- sends 100 of each attack: each is answered 4xx, and memory grows by less than 32 MiB;
- asks again with all clients, sends SIGTERM amid it, and looks whether what had come is answered, within 10 s.

The clients share the processors with the server. EfficientNet-Lite0 at 384 pixels, ONNX Runtime, photographs of 100
pixels, on two cores with AVX2:

     4 clients:   34.0 answers/s, p99 151 ms
    64 clients, 134 requests/s (4.1 × peak), 60 s; 200: 1,820, 400: 134, 415: 120, 422: 64, 503: 5,991
    refused p99 26 ms, alive p99 19 ms, largest difference 0, 30.1 answers/s, 92 % of the peak
    11 attacks, 100 of each: all 4xx, memory +3.5 MiB at most
    SIGTERM: {200: 16, 503: 48}, ended after 0.6 s

At 224 pixels the peak is 100 answers a second; to send 360 requests a second, the clients take so much of the two cores
that 75 to 80 % of the peak is left.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

REFUSAL_P99, LIVENESS_P99, TOLERANCE, GOODPUT, DRAIN, GROWTH = 0.25, 0.5, 1e-4, 0.8, 10.0, 32
MALFORMED = 0.1
CLIENTS = 64
OVERLOAD = 4
ATTACKS = 100
KINDS = ("answered", "refused", "alive", "late")


@dataclass(frozen=True)
class Reply:
    """What came back: status 0 where the connection broke off."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """One connection that is kept, and made anew where it was closed."""

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        assert parts.hostname is not None
        self.host, self.port = parts.hostname, parts.port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, path: str, body: bytes, content_type: str) -> Reply:
        head = f"POST {path} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\nContent-Type: {content_type}\r\n"
        return await self.send(f"{head}Content-Length: {len(body)}\r\n\r\n".encode(), body)

    async def get(self, path: str) -> Reply:
        return await self.send(f"GET {path} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\n\r\n".encode())

    async def send(self, *parts: bytes) -> Reply:
        """Bytes as they are; an answer may come before they have all been sent."""
        try:
            if self._streams is None:
                self._streams = await asyncio.open_connection(self.host, self.port)
            reader, writer = self._streams
            sending = asyncio.ensure_future(_write(writer, parts))
            try:
                reply = await _read(reader)
            finally:
                sending.cancel()
                with contextlib.suppress(asyncio.CancelledError, ConnectionError):
                    await sending
            if reply.headers.get("connection") == "close":
                await self.close()
            return reply
        except (ConnectionError, asyncio.IncompleteReadError):
            await self.close()
            return Reply(0, {}, b"")

    async def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            with contextlib.suppress(ConnectionError):
                await self._streams[1].wait_closed()
            self._streams = None


async def _write(writer: asyncio.StreamWriter, parts: Sequence[bytes]) -> None:
    for part in parts:
        for start in range(0, len(part), 2**16):
            writer.write(part[start : start + 2**16])
            await writer.drain()


async def _read(reader: asyncio.StreamReader) -> Reply:
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:] if line)}
    if "content-length" in headers:
        body = await reader.readexactly(int(headers["content-length"]))
    elif headers.get("transfer-encoding") == "chunked":
        body = b""
        while size := int(await reader.readline(), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readline()
    else:
        body = await reader.read()
    return Reply(int(lines[0].split()[1]), headers, body)


def form(data: bytes, name: str = "image.jpg") -> tuple[bytes, str]:
    """A form with an image, and its content type."""
    head = f'--limit\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\n\r\n'
    return head.encode() + data + b"\r\n--limit--\r\n", "multipart/form-data; boundary=limit"


def malformed(image: bytes, chance: random.Random) -> tuple[bytes, str]:
    """A body that is wrong in one of many ways, and its content type."""
    match chance.randrange(7):
        case 0:
            return form(image[: len(image) // 2])
        case 1:
            return form(b"no image at all")
        case 2:
            return form(b"")
        case 3:
            return form(image)[0][:-20], form(image)[1]
        case 4:
            return b'{"image": "%%%"}', "application/json"
        case 5:
            return b'{"image": ', "application/json"
        case _:
            return image, "image/jpeg"


@dataclass
class Told:
    """What clients were told.

    Attributes:
        statuses: How often each came.
        seconds: How long it took, by kind: ``answered``, ``refused`` and ``alive``; and ``late``, by how much a client
            overslept, for the machine may be busy.
        largest: Difference of a probability from what is predicted offline.
        wrong: What should not have come.
        elapsed: Seconds of asking.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    seconds: dict[str, list[float]] = field(
        default_factory=lambda: {"answered": [], "refused": [], "alive": [], "late": []}
    )
    largest: float = 0.0
    wrong: list[str] = field(default_factory=list)
    elapsed: float = 0.0

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.statuses[200] / self.elapsed

    def p99(self, kind: str) -> float:
        found = sorted(self.seconds[kind])
        return found[int(0.99 * (len(found) - 1))] if found else 0.0


def difference(result: Mapping[str, Any], expected: Mapping[str, float]) -> float:
    """The largest one of a probability."""
    scores = {entry["name"]: entry["score"] for entry in result["classes"]}
    if scores.keys() != expected.keys():
        return float("inf")
    return max(abs(scores[name] - expected[name]) for name in expected)


async def load(
    address: str,
    images: Sequence[bytes],
    expected: Sequence[Mapping[str, float]],
    *,
    clients: int,
    seconds: float,
    rate: float | None = None,
    wrong: float = 0.0,
    seed: int = 0,
) -> Told:
    """Ask for so many seconds.

    Args:
        address: Of the server.
        images: Files.
        expected: Probability of each class, for each.
        clients: Each waits for its answer before it asks again.
        seconds: How long.
        rate: Requests a second of all together, as far as they come to it; None for as many as they can.
        wrong: Share of malformed requests.
        seed: Of which these are.
    """
    told = Told()
    started = time.monotonic()
    stop = started + seconds

    async def ask(number: int) -> None:
        client, chance = Client(address), random.Random(f"{seed} {number}")
        step = clients / rate if rate else 0.0
        due = started + step * chance.random()
        while (now := time.monotonic()) < stop:
            if now < due:
                await asyncio.sleep(min(due, stop) - now)
                continue
            due = max(due + step, now - step)
            at = chance.randrange(len(images))
            bad = chance.random() < wrong
            body, kind = malformed(images[at], chance) if bad else form(images[at])
            began = time.monotonic()
            reply = await client.post("/v1/predict", body, kind)
            took = time.monotonic() - began
            told.statuses[reply.status] += 1
            if reply.status == 200:
                told.seconds["answered"].append(took)
                told.largest = max(told.largest, difference(reply.json["result"], expected[at]))
                if bad:
                    told.wrong.append("200 for a malformed request")
            elif reply.status == 503:
                told.seconds["refused"].append(took)
                if not reply.headers.get("retry-after", "").isdecimal():
                    told.wrong.append("503 without Retry-After")
            elif not (bad and 400 <= reply.status < 500):
                told.wrong.append(f"{reply.status} for a{' malformed' if bad else ''} request")
        await client.close()

    async def look() -> None:
        client = Client(address)
        while time.monotonic() < stop:
            began = time.monotonic()
            reply = await client.get("/healthz")
            told.seconds["alive"].append(time.monotonic() - began)
            if reply.status != 200:
                told.wrong.append(f"{reply.status} from /healthz")
            slept = time.monotonic()
            await asyncio.sleep(0.05)
            told.seconds["late"].append(time.monotonic() - slept - 0.05)
        await client.close()

    await asyncio.gather(look(), *(ask(number) for number in range(clients)))
    told.elapsed = time.monotonic() - started
    return told


def attacks(limit: int) -> dict[str, tuple[bytes, ...]]:
    """Requests that want to exhaust a server, which takes so many bytes an image, by name."""
    host = b"Host: 127.0.0.1\r\n"

    def post(headers: str, *body: bytes) -> tuple[bytes, ...]:
        return (b"POST /v1/predict HTTP/1.1\r\n" + host + headers.encode() + b"\r\n", *body)

    def sized(kind: str, body: bytes) -> tuple[bytes, ...]:
        return post(f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n", body)

    multipart = "Content-Type: multipart/form-data; boundary=limit\r\n"
    bomb = zlib.compressobj(9, zlib.DEFLATED, 31)
    packed = b"".join(bomb.compress(bytes(2**20)) for _ in range(256)) + bomb.flush()
    part = b'--limit\r\nContent-Disposition: form-data; name="image"; filename="x"\r\n\r\nx\r\n'
    deep = b'{"image": ' + b"[" * 2**20 + b"]" * 2**20 + b"}"
    header = (
        b'--limit\r\nContent-Disposition: form-data; name="image"\r\n' + b"X: y\r\n" * 10_000 + b"\r\n--limit--\r\n"
    )
    return {
        "oversize": post(f"{multipart}Content-Length: {limit + 2**20}\r\n", bytes(2**20)),
        "oversize, sent": post(f"{multipart}Content-Length: {limit + 2**20}\r\n", bytes(limit + 2**20)),
        "absurd length": post(f"{multipart}Content-Length: {'9' * 4000}\r\n"),
        "chunks": post(f"{multipart}Transfer-Encoding: chunked\r\n", b"1\r\nx\r\n" * 10_000),
        "gzip bomb": post(f"{multipart}Content-Encoding: gzip\r\nContent-Length: {len(packed)}\r\n", packed),
        "10,000 parts": sized("multipart/form-data; boundary=limit", part * 10_000 + b"--limit--\r\n"),
        "10,000 headers of a part": sized("multipart/form-data; boundary=limit", header),
        "10,000 headers": post("X: y\r\n" * 10_000),
        "deep JSON": sized("application/json", deep),
        "long JSON": sized("application/json", b'{"image": "' + b"A" * (limit * 4 // 3) + b"AAAA" * 100 + b'"}'),
        "huge picture": sized(*reversed(form(_huge_png()))),
    }


def _huge_png() -> bytes:
    """A PNG of 50,000 × 50,000 pixels in a few bytes."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + name + data + zlib.crc32(name + data).to_bytes(4, "big")

    head = (50_000).to_bytes(4, "big") * 2 + bytes([8, 2, 0, 0, 0])
    pixels = zlib.compress(bytes(2**20), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


async def attack(address: str, pid: int, limit: int, *, times: int) -> dict[str, tuple[Counter[int], float]]:
    """For each attack the statuses that came, and by how many MiB memory has grown."""
    found = {}
    for name, parts in attacks(limit).items():
        statuses: Counter[int] = Counter()
        before = resident(pid)
        for _ in range(times):
            client = Client(address)
            statuses[(await asyncio.wait_for(client.send(*parts), 60)).status] += 1
            await client.close()
        found[name] = (statuses, resident(pid) - before)
    return found


def resident(pid: int) -> float:
    """MiB of memory of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise ValueError(f"no memory of process {pid}")


async def drain(
    process: subprocess.Popen[str], address: str, images: Sequence[bytes], *, clients: int
) -> tuple[Counter[int], float]:
    """Send SIGTERM while clients wait for answers.

    Returns:
        The statuses of what had been sent before, and the seconds until the process ended.
    """
    bodies = [form(image) for image in itertools.islice(itertools.cycle(images), clients)]
    open_clients = [Client(address) for _ in bodies]
    for client in open_clients:
        await client.get("/healthz")
    waiting = [
        asyncio.ensure_future(client.post("/v1/predict", *body))
        for client, body in zip(open_clients, bodies, strict=True)
    ]
    await asyncio.sleep(0.2)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    statuses = Counter([(await one).status for one in waiting])
    for client in open_clients:
        await client.close()
    while process.poll() is None and time.monotonic() - began < 3 * DRAIN:
        await asyncio.sleep(0.02)
    return statuses, time.monotonic() - began


@contextlib.contextmanager
def served(*arguments: str, command: Sequence[str] | None = None) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server in a process of its own, and its address."""
    command = command or [sys.executable, "-m", "svertka", "serve"]
    process = subprocess.Popen(
        [*command, *arguments, "--port", "0", "--json"], stdout=subprocess.PIPE, text=True, env=os.environ
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        if not line:
            raise SystemExit(process.wait())
        yield process, json.loads(line)["address"]
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(60)
        process.stdout.close()


async def peak(
    address: str, images: Sequence[bytes], expected: Sequence[Mapping[str, float]], seconds: float, sizes: Sequence[int]
) -> tuple[float, int]:
    """The most answers a second, and for how many clients."""
    found = []
    for clients in sizes:
        told = await load(address, images, expected, clients=clients, seconds=seconds)
        found.append((told.rate, clients))
        print(f"{clients:2} clients: {told.rate:6.1f} answers/s, p99 {1000 * told.p99('answered'):.0f} ms", flush=True)
    return max(found)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--clients", type=int, default=CLIENTS)
    parser.add_argument("--attacks", type=int, default=ATTACKS)
    given = parser.parse_args()
    files = sorted(path for path in given.images.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    files = random.Random(0).sample(files, min(100, len(files)))
    images = [file.read_bytes() for file in files]
    expected = offline(given.model, files)
    checks: list[tuple[str, bool]] = []

    def check(text: str, good: bool) -> None:
        checks.append((text, good))
        print(f"{'ok    ' if good else 'FAILED'} {text}", flush=True)

    # With a place for every client, none would be refused, and none could ask more often than it is answered.
    with served(str(given.model), "--places", str(given.clients // OVERLOAD)) as (process, address):
        asyncio.run(trial(process, address, images, expected, given, check))
    return int(not all(good for _, good in checks))


async def trial(
    process: subprocess.Popen[str],
    address: str,
    images: Sequence[bytes],
    expected: Sequence[Mapping[str, float]],
    given: argparse.Namespace,
    check: Callable[[str, bool], None],
) -> None:
    described = (await Client(address).get("/v1/models")).json
    (model,), limits = described["models"], described["limits"]
    print(f"{model['net']} by {model['engine']}, {model['batch']} at a time, {limits['images']} places, {address}")
    seconds = max(2.0, given.seconds / 10)
    before, best = await peak(address, images, expected, seconds, (2, 4, 8, 16))
    told = await load(
        address,
        images,
        expected,
        clients=given.clients,
        seconds=given.seconds,
        rate=OVERLOAD * before,
        wrong=MALFORMED,
    )
    after, _ = await peak(address, images, expected, seconds, (best,))
    most = (before + after) / 2
    asked = sum(told.statuses.values()) / told.elapsed
    statuses = ", ".join(f"{status}: {count:,}" for status, count in sorted(told.statuses.items()))
    print(
        f"{given.clients} clients, {asked:.0f} requests/s ({asked / most:.1f} × peak), {told.elapsed:.0f} s; {statuses}"
    )
    check(f"only 200, 4xx and 503 {sorted(set(told.wrong))[:3]}", not told.wrong)
    check(f"refused p99 {1000 * told.p99('refused'):.0f} ms of 250", told.p99("refused") < REFUSAL_P99)
    check(f"alive p99 {1000 * told.p99('alive'):.0f} ms of 500", told.p99("alive") < LIVENESS_P99)
    check(f"largest difference {told.largest:.1g} of 1e-4", told.largest <= TOLERANCE)
    check(f"{told.rate:.1f} answers/s, {told.rate / most:.0%} of the peak", told.rate >= GOODPUT * most)
    for name, (counts, growth) in (await attack(address, process.pid, limits["bytes"], times=given.attacks)).items():
        good = all(400 <= status < 500 for status in counts) and growth < GROWTH
        check(f"{name}: {dict(counts)}, memory {growth:+.1f} MiB", good)
    counts, seconds = await drain(process, address, images, clients=given.clients)
    good = seconds < DRAIN and set(counts) <= {200, 503} and process.returncode == 0
    check(f"SIGTERM: {dict(counts)}, ended after {seconds:.1f} s with status {process.returncode}", good)


def offline(model: Path, files: Sequence[Path]) -> list[dict[str, float]]:
    """Probability of each class, for each file, as `svertka predict` has it."""
    import svertka

    predictions = [prediction.to_json() for prediction in svertka.predict(model, files)]
    return [{entry["name"]: entry["score"] for entry in one["classes"]} for one in predictions]


if __name__ == "__main__":
    sys.exit(main())
