# SPDX-License-Identifier: Apache-2.0
"""Recordings in a store that is far away, beside the same ones on the disk: `oido batch` of both.

    python benchmarks/archive_remote.py                          50 ms, 120 recordings of a minute
    python benchmarks/archive_remote.py --seconds 10 --recordings 600 --latency 100
    python benchmarks/archive_remote.py --seconds 1800 --recordings 6 --split 300   in ranges

The store is moto's S3 on this machine, behind a relay that holds back every answer. It has a core
of its own, as a store elsewhere has, and oido the others; on one core they share it, and only the
processor time of oido alone says something. An archive of one recording shows what the start costs:
the packages of the store, its listing, the first recording. Runs alternate. Needs moto[server] and
s3fs. Linux only.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import soundfile

ROOT = Path(__file__).parents[1]
BUCKET = "s3://recordings"


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--latency", type=float, default=50.0, help="milliseconds (default 50)")
    parser.add_argument("--recordings", type=int, default=120)
    parser.add_argument("--seconds", type=float, default=60.0, help="of each recording")
    parser.add_argument("--split", type=float, help="seconds: longer recordings go in ranges")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path, default=ROOT / ".bench" / "archive_remote.json")
    arguments = parser.parse_args()
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    cores = sorted(os.sched_getaffinity(0))
    options = ["--jobs", str(max(1, len(cores) - 1))]
    options += [] if arguments.split is None else ["--split", f"{arguments.split:g}"]
    os.sched_setaffinity(0, cores[-1:])  # whatever is started from here on: store and relay
    runs: dict[str, list[dict[str, float]]] = {
        f"{name}, {part}": [] for part in ("one", "all") for name in ("disk", "store")
    }
    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="oido-")))
        make_recordings(scratch / "in", arguments.recordings, arguments.seconds)
        address = stack.enter_context(store())
        fill(address, scratch / "in")
        far = relay(address, arguments.latency / 1000)
        others = cores[:-1] or cores
        for number in range(arguments.repeats):
            for name, found in runs.items():
                place = str(scratch / "in") if name.startswith("disk") else f"{BUCKET}/in"
                place += "/00000.wav" if name.endswith("one") else ""
                out = scratch / f"{name}-{number}"
                found.append(measured(place, out, environment(far), options, others))
    print(table(runs, arguments, len(cores)))
    arguments.json.write_text(json.dumps(runs, indent=1) + "\n")
    return 0


def make_recordings(folder: Path, number: int, seconds: float) -> None:
    """Tones that come and go in noise, 16 kHz."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    times = np.arange(int(16_000 * seconds)) / 16_000
    noise = 0.02 * rng.standard_normal(len(times))
    for n in range(number):
        tone = 0.2 * np.sin(2 * np.pi * (300 + 7 * n) * times) * (np.sin(times * 0.7 + n) > 0)
        soundfile.write(folder / f"{n:05d}.wav", tone + noise, 16_000)


def environment(address: str) -> dict[str, str]:
    """That of a client of the store."""
    return {
        **os.environ,
        "AWS_ENDPOINT_URL": address,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "NO_PROXY": "*",
    }


@contextlib.contextmanager
def store() -> Any:
    """moto's S3 in a process of its own; its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def fill(address: str, folder: Path) -> None:
    """Put the recordings there."""
    code = (
        "import fsspec, sys; f = fsspec.filesystem('s3'); f.mkdir('s3://recordings'); "
        "f.put(sys.argv[1], 's3://recordings/in', recursive=True)"
    )
    subprocess.run([sys.executable, "-c", code, str(folder)], check=True, env=environment(address))


def relay(address: str, seconds: float) -> str:
    """Starts a thread that passes everything on, and answers so much later; its address."""
    host, port = address.removeprefix("http://").split(":")
    ready: list[int] = []

    async def pump(reader: Any, writer: Any, late: float) -> None:
        loop = asyncio.get_running_loop()
        pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def write() -> None:
            while True:
                due, piece = await pieces.get()
                await asyncio.sleep(max(0.0, due - loop.time()))
                if not piece:
                    writer.close()
                    return
                writer.write(piece)
                await writer.drain()

        writing = asyncio.create_task(write())
        piece = b"x"
        while piece:
            with contextlib.suppress(OSError):
                piece = await reader.read(1 << 16)
            pieces.put_nowait((loop.time() + late, piece))
        with contextlib.suppress(OSError):
            await writing

    async def connected(reader: Any, writer: Any) -> None:
        there, back = await asyncio.open_connection(host, int(port))
        await asyncio.gather(pump(reader, back, 0.0), pump(there, writer, seconds))

    async def serve() -> None:
        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        ready.append(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    threading.Thread(target=lambda: asyncio.run(serve()), daemon=True).start()
    while not ready:
        time.sleep(0.01)
    return f"http://127.0.0.1:{ready[0]}"


def measured(
    place: str, out: Path, env: dict[str, str], options: list[str], cores: list[int]
) -> dict[str, float]:
    """Seconds of clock and of the processor, of oido and its workers on these cores."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "oido", "batch", place, "-o", str(out), "-q", *options]
    own = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)  # children inherit it
    process = subprocess.Popen(command, env=env)
    os.sched_setaffinity(0, own)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"exit code {process.returncode}")
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "cpu_seconds": usage.ru_utime + usage.ru_stime}


def table(
    runs: dict[str, list[dict[str, float]]], arguments: argparse.Namespace, n_cores: int
) -> str:
    """The figures as Markdown."""
    shared = "one core for all" if n_cores == 1 else f"{n_cores - 1} core(s), and one of the store"
    lines = [
        f"{arguments.recordings} recordings of {arguments.seconds:g} s, every answer "
        f"{arguments.latency:g} ms late, {shared}, medians of {arguments.repeats}",
        "",
        "| recordings on | seconds | processor seconds |",
        "|---|---:|---:|",
    ]
    middle = {
        name: [median(run[key] for run in found) for key in ("seconds", "cpu_seconds")]
        for name, found in runs.items()
    }
    lines += [f"| {name} | {one:.1f} | {two:.1f} |" for name, (one, two) in middle.items()]
    near, far, near_one, far_one = (
        np.array(middle[name]) for name in ("disk, all", "store, all", "disk, one", "store, one")
    )
    for name, ratio in (
        ("store / disk", far / near),
        ("without the first recording", (far - far_one) / (near - near_one)),
    ):
        lines.append(f"| {name} | {ratio[0]:.2f} | {ratio[1]:.2f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
