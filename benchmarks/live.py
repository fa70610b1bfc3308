# SPDX-License-Identifier: Apache-2.0
"""How many real-time streams `oido serve` keeps up with, how late it is, and how many requests.

    python benchmarks/live.py                     a server with as many threads as there are cores
    python benchmarks/live.py --streams 100,200,300,400 --seconds 20
    python benchmarks/live.py --level events                 streams that make events of the sound
    python benchmarks/live.py --results binary               windows as numbers instead of text

The load is another process on the same machine (`live_load.py`), and takes its share of it: what it
took is shown. "Kept up" means that every window was told, none was left out, and 95 of 100 came
within one hop of their last sample; at the level of events, that of 95 of 100 streams all was
predicted within one hop of their end. The ceiling is the bare network, in the same run, on as many
threads, before and after; another load on the machine lowers both. CPU milliseconds per window, of
the server and of the bare network, say the same of a machine that others use, too.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import io
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import soundfile
from websockets.sync.client import connect

from oido.inference.predictor import Predictor
from oido.models.loading import load_model
from oido.params import Windowing, available_cores

HERE = Path(__file__).parent
EXAMPLES = HERE.parent / "examples"
RATE_HZ, WINDOW, HOP = 16_000, 15_600, 7_680
HOP_SECONDS = HOP / RATE_HZ


@contextlib.contextmanager
def serving(workers: int) -> Iterator[tuple[int, int]]:
    """A server of its own process: its port, and its process's number."""
    command = [sys.executable, "-m", "oido", "serve", "--port", "0", "--no-page"]
    command += ["--max-streams", "2000", "--workers", str(workers)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        for line in process.stderr:
            if "http://" in line:
                port = int(line.split("http://")[1].split()[0].rsplit(":", 1)[1])
                yield port, process.pid
                break
    finally:
        process.terminate()
        process.wait(60)


def ceiling(threads: int, seconds: float) -> tuple[float, float]:
    """The bare network in batches of 8, on so many threads: windows/s, CPU seconds per window."""
    model = load_model("yamnet/classification")
    counts = [0] * threads

    def work(number: int) -> None:
        ear = Predictor.of(model)
        noise = np.random.default_rng(number).uniform(-0.3, 0.3, WINDOW + 7 * HOP)
        patches = np.ascontiguousarray(ear.patches(noise.astype(np.float32), HOP))
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            ear.run(patches)
            counts[number] += len(patches)

    workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    used = time.process_time()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(counts) / seconds, (time.process_time() - used) / sum(counts)


def cpu_seconds(process: int) -> float:
    """CPU time of a process so far (Linux; else 0)."""
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return 0.0


def with_children(process: int) -> list[int]:
    """A process and those that it has started (Linux; else itself alone)."""
    found = [process]
    with contextlib.suppress(OSError):
        children = Path(f"/proc/{process}/task/{process}/children").read_text()
        found += map(int, children.split())
    return found


def load(
    port: int, streams: int, seconds: float, message_seconds: float, **header: str
) -> dict[str, Any]:
    """What `live_load.py` measured; header: of the streams, beside its own."""
    given = {
        "port": port,
        "streams": streams,
        "seconds": seconds,
        "message_samples": round(message_seconds * RATE_HZ),
        "sound": str(EXAMPLES / "street.flac"),
        "header": header,
    }
    command = [sys.executable, str(HERE / "live_load.py"), json.dumps(given)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    measured: dict[str, Any] = json.loads(done.stdout)
    return measured


def requests_per_second(port: int, clients: int, seconds: float) -> float:
    """Recordings of 10 s (FLAC) heard by ``POST /v1/classify``, by so many clients at once."""
    samples, rate = soundfile.read(EXAMPLES / "street.flac", dtype="int16", frames=10 * RATE_HZ)
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="FLAC")
    content, counts, ends = file.getvalue(), [0] * clients, time.monotonic() + seconds

    def work(number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        while time.monotonic() < ends:
            connection.request("POST", "/v1/classify", content)
            answer = connection.getresponse()
            answer.read()
            counts[number] += answer.status == 200

    threads = [threading.Thread(target=work, args=(number,)) for number in range(clients)]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.monotonic() - started)


def delays(port: int, level: str, hop: float, sounds: int) -> list[float]:
    """Seconds from a sound's last sample, when it is sent, to the message that tells of all of it.

    level: "windows": the first window that holds its last sample; "began": the first event of a
    sound of one second, which is told with the window that makes it one; "over": the event that
    ends there, which is told when nothing can go on with it (docs/concepts/windows-scores-events).
    """
    siren, _ = soundfile.read(EXAMPLES / "alarm.flac", dtype="int16", always_2d=True)
    rate = soundfile.info(EXAMPLES / "alarm.flac").samplerate
    step, rng, found = round(0.02 * rate), np.random.default_rng(2), []
    # A second of it is half a second of sound and as much of faint noise.
    first, end = {"windows": (0.0, 1.5), "began": (0.5, 1.5), "over": (0.5, 1.0)}[level]
    sound = siren[round(first * rate) : round(end * rate), -1]
    header: dict[str, Any] = {"version": 1, "sample_rate": rate, "hop": hop, "level": "windows"}
    if level != "windows":
        header |= {"level": "events", "deny": ["Silence"]}
    for _ in range(sounds):
        before = np.zeros(round(rng.uniform(1.2, 1.2 + hop) * rate), np.int16)
        stream = np.concatenate([before, sound, np.zeros(round(3.2 * rate), np.int16)])
        last = (len(before) + len(sound)) / rate
        told: list[tuple[float, dict[str, Any]]] = []
        with connect(f"ws://127.0.0.1:{port}/v1/stream") as socket:
            socket.send(json.dumps(header))
            socket.recv()

            def listen(socket: Any = socket, told: Any = told) -> None:
                for text in socket:
                    told.append((time.monotonic(), json.loads(text)))

            listener = threading.Thread(target=listen)
            listener.start()
            began = time.monotonic()
            for start in range(0, len(stream), step):
                time.sleep(max(0.0, began + (start + step) / rate - time.monotonic()))
                socket.send(stream[start : start + step].tobytes())
            socket.send('{"type": "end"}')
            listener.join()
        for at, message in told:
            if message["type"] != ("began" if level == "began" else "rows"):
                continue
            # Other events of the same sound may end before it does.
            is_over = any(row["end_time"] > last - 0.3 for row in message["rows"])
            tells = level == "began" or (is_over if level == "over" else message["time"] >= last)
            if tells:
                found.append(at - began - last)
                break
    return sorted(found)


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description="Load and latency of `oido serve`.")
    parser.add_argument("--streams", default="100,200,250,300,350,400")
    parser.add_argument("--seconds", type=float, default=15.0, help="of sound per row")
    parser.add_argument("--message", type=float, default=HOP_SECONDS, help="seconds per message")
    parser.add_argument("--workers", type=int, default=available_cores())
    parser.add_argument("--sounds", type=int, default=12, help="for the latency (0: none)")
    parser.add_argument("--level", choices=("windows", "events"), default="windows")
    parser.add_argument("--results", choices=("json", "binary"), default="json")
    args = parser.parse_args()
    header = {"level": args.level}
    if args.results != "json":  # a member that older servers do not know
        header["results"] = args.results
    before, best = ceiling(args.workers, 4.0), 0
    with serving(args.workers) as (port, process):
        if args.sounds:
            print_latency(port, args.sounds)
        print_requests(port, process, args.workers, args.seconds, before)
    print(
        "| streams | windows/s | median | 95 % | 99 % | left out | ms/window | beside the network "
        "| load | kept up |"
    )
    print("|---:|---:|---:|---:|---:|---:|---:|---:|---:|---|")
    with serving(args.workers) as (port, process):
        load(port, 4, 2.0, args.message, **header)  # the first windows take longest
        for streams in map(int, args.streams.split(",")):
            used = cpu_seconds(process)
            m = load(port, streams, args.seconds, args.message, **header)
            cost = 1e3 * (cpu_seconds(process) - used) / max(1, m["told"])
            late = {q: 1e3 * value for q, value in m["late"].items()}
            whole = m["told"] == m["windows"] and not m["dropped"] and not m["problems"]
            kept_up = whole and late["0.95"] <= 1e3 * HOP_SECONDS
            best = max(best, streams) if kept_up else best
            print(
                f"| {streams} | {m['told'] / args.seconds:.0f} | {late['0.5']:.0f} ms "
                f"| {late['0.95']:.0f} ms | {late['0.99']:.0f} ms | {m['windows'] - m['told']} "
                f"| {cost:.2f} | {cost - 1e3 * before[1]:.2f} | {m['load_cpu']:.2f} "
                f"| {'yes' if kept_up else 'no'} |",
                flush=True,
            )
            if not kept_up:
                break
    after = ceiling(args.workers, 4.0)
    bare, cost = (before[0] + after[0]) / 2, 1e3 * (before[1] + after[1]) / 2
    print(
        f"\nThe bare network: {bare:.0f} windows/s, as of {bare * HOP_SECONDS:.0f} streams, "
        f"{cost:.2f} ms of CPU per window; kept up with {best} streams, "
        f"{best / (bare * HOP_SECONDS):.2f} of it."
    )
    return 0


def print_requests(
    port: int, process: int, workers: int, seconds: float, bare: tuple[float, float]
) -> None:
    """Requests a second beside what the bare network could answer, and what one costs."""
    requests_per_second(port, workers, 2.0)  # the first ones take longest
    windows = Windowing(RATE_HZ, WINDOW, HOP).count(10 * RATE_HZ)
    processes = with_children(process)
    used = [cpu_seconds(each) for each in processes]
    began = time.monotonic()
    rate = requests_per_second(port, 2 * workers, seconds)
    n = rate * (time.monotonic() - began)
    cost = [1e3 * (cpu_seconds(each) - before) / n for each, before in zip(processes, used)]
    print(
        f"\n{rate:.1f} requests per second of 10 s each, {10 * rate:.0f} × real time, "
        f"{rate * windows / bare[0]:.2f} of what the bare network does; one costs "
        f"{sum(cost):.1f} ms of CPU, {cost[0]:.1f} in the server itself, "
        f"{sum(cost) - 1e3 * windows * bare[1]:.1f} beside the network\n"
    )


def print_latency(port: int, sounds: int) -> None:
    """How late windows and events are told."""
    print("| told | hop | least | median | 95 % | sounds |\n|---|---:|---:|---:|---:|---:|")
    for level, hop in (
        ("windows", 0.48),
        ("windows", 0.24),
        ("began", 0.48),
        ("began", 0.24),
        ("over", 0.48),
        ("over", 0.24),
    ):
        late = delays(port, level, hop, sounds)
        if not late:
            print(f"| {level} | {hop} s | never told | | | 0 |")
            continue
        high = late[round(0.95 * (len(late) - 1))]
        print(
            f"| {level} | {hop} s | {late[0] * 1e3:.0f} ms | {median(late) * 1e3:.0f} ms "
            f"| {high * 1e3:.0f} ms | {len(late)} |"
        )


if __name__ == "__main__":
    sys.exit(main())
