# SPDX-License-Identifier: Apache-2.0
"""What an image weighs, how soon it answers, and what runs in it as whom; no engine is needed.

    python benchmarks/container.py
    python benchmarks/container.py --addon     # Home Assistant's, too; needs ports 8000 and 8099

The steps of a Dockerfile are run to the letter, each stage in a root that debootstrap makes. That
root stands for Debian's slim image, which has less in it: documentation and translations are left
out there. Needs Linux, root, debootstrap and 4 GB; takes some minutes. What this machine's package
managers are told (mirror, index, certificates) is lent to the roots, and taken out before weighing.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

from machine import processor  # noqa: E402

from tests.deploy.dockerfile import Instruction, instructions  # noqa: E402

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
CERTIFICATES = "etc/ssl/certs/ca-certificates.crt"
LENT = ("etc/resolv.conf", "etc/hosts", "etc/pip.conf", "root/.config/pip/pip.conf", "root/.npmrc")
LENT_VARIABLES = ("PIP_", "NPM_CONFIG_", "SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS")
SHARED_FOLDERS = ("/tmp", "/var/tmp", "/dev", "/proc", "/run/lock", "/run/shm")
"""Where every user may write, in any Debian."""


@dataclass
class Stage:
    """A root, and what the instructions so far say of it."""

    root: Path
    environment: dict[str, str] = field(default_factory=lambda: {"PATH": SYSTEM_PATH})
    work: str = "/"
    user: str = "0"

    def command(self, words: list[str], user: str | None = None) -> list[str]:
        """A command in the root, in its folder and environment, as its user.

        As in a container, it has /proc and /sys: LiteRT reads there which instructions it may use.
        """
        who = user or self.user
        pairs = [f"{name}={value}" for name, value in self.environment.items()]
        inside = ["sh", "-c", f"cd {shlex.quote(self.work)} && exec {shlex.join(words)}"]
        chroot = ["chroot", f"--userspec={who}:{who}", str(self.root), "env", "-i", *pairs]
        mounts = 'mount --bind /proc "$0/proc" && mount --rbind /sys "$0/sys" && exec "$@"'
        return ["unshare", "--mount", "sh", "-c", mounts, str(self.root), *chroot, *inside]

    def build(self, text: str) -> None:
        """RUN, as root, with what is lent."""
        lent = {n: v for n, v in os.environ.items() if n.upper().startswith(LENT_VARIABLES)}
        lent |= {n: v for n, v in os.environ.items() if n.lower().endswith("_proxy")}
        made = {**lent, **self.environment, "HOME": "/root", "DEBIAN_FRONTEND": "noninteractive"}
        words = ["chroot", str(self.root), "sh", "-ec", f"cd {shlex.quote(self.work)}; {text}"]
        done = subprocess.run(words, env=made, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            sys.exit(f"RUN {text}\n{(done.stdout + done.stderr)[-3000:]}")
        if "ca-certificates" in text:  # the machine's own authorities, for the steps that follow
            shutil.copy(f"/{CERTIFICATES}", self.root / CERTIFICATES)

    def copy(self, text: str, context: Path) -> None:
        """COPY, from the context or another stage."""
        *names, target = [word for word in shlex.split(text) if not word.startswith("--")]
        place = self.root / os.path.join(self.work, target).lstrip("/")
        for name in names:
            for source in sorted(context.glob(name.lstrip("/"))):
                is_folder_of_many = target.endswith("/") or len(names) > 1
                if source.is_dir():
                    shutil.copytree(
                        source,
                        place,
                        symlinks=True,
                        dirs_exist_ok=True,
                        ignore=shutil.ignore_patterns("vendor") if name == "src" else None,
                    )
                    continue
                path = place / source.name if is_folder_of_many or place.is_dir() else place
                path.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, path)


def make_base(folder: Path) -> Path:
    """The root that every stage begins with."""
    base = folder / "base"
    if not base.exists():
        listed = subprocess.run(
            ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        mirror = next(uri for uri in listed if uri.rstrip("/").endswith("/debian"))
        words = ["debootstrap", "--variant=minbase", "bookworm", str(base), mirror]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            shutil.rmtree(base, ignore_errors=True)
            sys.exit(f"debootstrap:\n{done.stdout[-2000:]}")
        for archive in (base / "var" / "cache" / "apt" / "archives").glob("*.deb"):
            archive.unlink()
        shutil.rmtree(base / "var" / "lib" / "apt" / "lists", ignore_errors=True)
    return base


def make_image(dockerfile: Path, context: Path, folder: Path, *, again: bool = False) -> Stage:
    """The last stage of a Dockerfile, without what was lent; again: as an earlier run made it."""
    base = make_base(folder)
    stages: list[Stage] = []
    names: dict[str, Stage] = {}
    for step in instructions(dockerfile):
        print(f"  {step.name} {step.text[:90]}", file=sys.stderr)
        if step.name == "FROM":
            root = folder / f"{dockerfile.parent.name}-{len(stages)}"
            stages.append(Stage(root))
            names[step.text.rpartition(" AS ")[2]] = stages[-1]
            if not again:
                shutil.rmtree(root, ignore_errors=True)
                subprocess.run(["cp", "-a", str(base), str(root)], check=True)
                lend(root)
        elif not (again and step.name in ("RUN", "COPY")):
            _apply(step, stages[-1], context, names)
    for name in LENT:
        (stages[-1].root / name).unlink(missing_ok=True)
    return stages[-1]


def lend(root: Path) -> None:
    """What this machine's package managers are told."""
    for name in LENT:
        if Path("/", name).exists():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(Path("/", name), root / name)


def _apply(step: Instruction, stage: Stage, context: Path, names: dict[str, Stage]) -> None:
    if step.name == "RUN":
        stage.build(step.text)
    elif step.name == "COPY":
        words = shlex.split(step.text)
        before = words[0].removeprefix("--from=") if words[0].startswith("--from=") else None
        stage.copy(step.text, names[before].root if before else context)
    elif step.name in ("ENV", "ARG"):
        for pair in shlex.split(step.text):
            name, _, value = pair.partition("=")
            stage.environment[name] = value.replace("$PATH", stage.environment["PATH"])
    elif step.name == "WORKDIR":
        stage.work = step.text
        (stage.root / step.text.lstrip("/")).mkdir(parents=True, exist_ok=True)
    elif step.name == "USER":
        stage.user = step.text


def megabytes(folder: Path) -> float:
    """What a folder takes on a disk; a file with several names counts once."""
    words = ["du", "-sx", "--block-size=1000", str(folder)]
    return (
        int(subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()[0])
        / 1e3
    )


def seconds_to_first_row(stage: Stage, repeats: int) -> tuple[float, float]:
    """From the start of `oido classify` to its first row by the clock, and the whole command's
    processor time; medians."""
    home = stage.root / stage.work.lstrip("/")
    shutil.copy(ROOT / "examples" / "street.flac", home)
    words = stage.command(["oido", "classify", "street.flac", "--format", "csv"])
    times, processor_times = [], []
    for _ in range(repeats):
        began, before = time.monotonic(), os.times()
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            process.stdout.readline()  # the header
            assert "," in process.stdout.readline()
            times.append(time.monotonic() - began)
            process.stdout.read()
        assert process.returncode == 0
        now = os.times()
        used = now.children_user + now.children_system
        processor_times.append(used - before.children_user - before.children_system)
    return statistics.median(times), statistics.median(processor_times)


def serving(stage: Stage, words: list[str], port: int) -> tuple[float, set[tuple[str, str]]]:
    """From the start of a server to its first healthy answer, and the processes that run then."""
    began = time.monotonic()
    process = subprocess.Popen(stage.command(words), stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: is_healthy(port), process)
        return time.monotonic() - began, processes_below(process.pid)
    finally:
        process.terminate()
        process.wait(60)


def is_healthy(port: int) -> bool:
    """Whether a server answers its health check."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5):
            return True
    except OSError:
        return False


def wait_until(is_so: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    """Wait, two minutes at most, as long as the process lives."""
    limit = time.monotonic() + 120
    while not is_so():
        if process.poll() is not None or time.monotonic() > limit:
            sys.exit(f"{process.args}: does not answer (exit code {process.poll()})")
        time.sleep(0.05)


def processes_below(pid: int) -> set[tuple[str, str]]:
    """Command and user id of a process and all that it started."""
    parents: dict[int, list[int]] = {}
    facts: dict[int, tuple[str, str]] = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            lines = (path / "status").read_text().splitlines()
            words = (path / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        status = {line.partition(":")[0]: line.partition(":")[2].split() for line in lines}
        parents.setdefault(int(status["PPid"][0]), []).append(int(path.name))
        # A program may rename itself (nginx does): then there is one word, with spaces.
        names = [word if " " in word else Path(word).name for word in words[:3] if word]
        shown = " ".join(name for name in names if not name.startswith("-"))
        facts[int(path.name)] = (shown, status["Uid"][0])
    found, left = set(), [pid]
    while left:
        current = left.pop()
        left += parents.get(current, [])
        found |= {facts[current]} if current in facts else set()
    return found


def writable_folders(stage: Stage) -> list[str]:
    """Where the image's user may write, beside where everybody may; only the topmost."""
    prune = " -o ".join(f"-path {shlex.quote(folder)}" for folder in SHARED_FOLDERS)
    find = f"find / -xdev \\( {prune} \\) -prune -o -type d -writable -print -prune"
    script = f"{find} 2>/dev/null || true"
    words = stage.command(["sh", "-c", script])
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()


def report(title: str, stage: Stage, folder: Path, repeats: int) -> None:
    """Print the table of the image."""
    base, whole = megabytes(folder / "base"), megabytes(stage.root)
    installed = megabytes(stage.root / "opt" / "oido")
    print(f"\n| {title} | |\n|---|---:|")
    print(f"| Debian, as debootstrap makes it | {base:.0f} MB |")
    print(f"| packages of Debian's on it | {whole - base - installed:.0f} MB |")
    print(f"| /opt/oido: environment, model, page | {installed:.0f} MB |")
    print(f"| the whole | {whole:.0f} MB |")
    first, processor_time = seconds_to_first_row(stage, repeats)
    print(f"| start to the first row of `oido classify street.flac` | {first:.1f} s |")
    print(f"| processor time of the whole command | {processor_time:.1f} s |")


def main() -> int:
    """Make the roots, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "container")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--again", action="store_true", help="measure what an earlier run made")
    parser.add_argument("--addon", action="store_true", help="also the Home Assistant add-on")
    args = parser.parse_args()
    if os.geteuid() != 0 or shutil.which("debootstrap") is None:
        sys.exit("this needs root and debootstrap: apt-get install debootstrap")
    folder = args.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    image = make_image(ROOT / "deploy" / "Dockerfile", ROOT, folder, again=args.again)
    print(processor()["name"])
    report("the image", image, folder, args.repeats)
    serve = ["oido", "serve", "--host", "127.0.0.1", "--port", "8123"]
    healthy, processes = serving(image, serve, 8123)
    print(f"| start of `oido serve` to its first healthy answer | {healthy:.1f} s |")
    rows = {("image", *process) for process in processes}
    places = writable_folders(image)
    if args.addon:
        rows |= {
            ("add-on", *process)
            for process in measure_addon(folder, args.repeats, again=args.again)
        }
    print("\n| where | what runs | user |\n|---|---|---:|")
    print(*(f"| {where} | `{what}` | {user} |" for where, what, user in sorted(rows)), sep="\n")
    print(f"\nThe image's user, {image.user}, may write to: {', '.join(places) or 'nothing'}")
    return 0


def measure_addon(folder: Path, repeats: int, *, again: bool) -> set[tuple[str, str]]:
    """Its table; and its processes, those of a listener among them, that run as it is started."""
    context = folder / "addon"
    if not again:
        shutil.rmtree(context, ignore_errors=True)
        shutil.copytree(ROOT / "deploy" / "home-assistant" / "oido", context)
        pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
        subprocess.run([*pip, "--wheel-dir", str(context), str(ROOT)], check=True)
    addon = make_image(context / "Dockerfile", context, folder, again=again)
    report("the add-on", addon, folder, repeats)
    (addon.root / "data").mkdir(exist_ok=True)
    # A pipe that nobody writes to: the listener waits for its source.
    (addon.root / "data" / "options.json").write_text('{"source": "/data/source.wav"}')
    (addon.root / "data" / "source.wav").unlink(missing_ok=True)
    os.mkfifo(addon.root / "data" / "source.wav")
    process = subprocess.Popen(
        addon.command(["python3", "/opt/oido/run.py"]), stderr=subprocess.DEVNULL
    )
    found: set[tuple[str, str]] = set()

    def all_run() -> bool:
        found.clear()
        found.update(processes_below(process.pid))
        shown = " ".join(what for what, _ in found)
        return all(part in shown for part in ("oido serve", "oido listen", "nginx: worker"))

    try:
        wait_until(all_run, process)
        return found
    finally:
        process.terminate()
        process.wait(60)


if __name__ == "__main__":
    sys.exit(main())
