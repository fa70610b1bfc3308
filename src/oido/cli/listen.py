# SPDX-License-Identifier: Apache-2.0
"""Tell what is heard now: a microphone, a camera, a stream.

Tell what is heard now, and set off actions.

examples:
  oido listen                                     the microphone, in a live view
  oido listen mic:USB --allow Speech --allow Dog
  oido listen rtsp://camera.local/live --jsonl >> heard.jsonl
  oido listen http://radio.example/stream.mp3 --windows
  oido listen rtsps://camera.local/live --tls-ca home.pem
  arecord -f S16_LE -r 16000 | oido listen - --rate 16000
  ffmpeg -i INPUT -f ogg - | oido listen -
  oido listen --on "Smoke detector, smoke alarm>0.6 for 2s" --do mqtt://homeassistant.local
  oido listen --on "Dog|Bark>0.5" --do save:barks --forget-speech --do exec:"notify-send Dog"
  oido listen night.flac --replay --on "Dog|Bark>0.5" --do save:barks

Scores are the model's raw outputs from 0 to 1. They are not probabilities; a calibrated model, such
as `oido train` and `oido calibrate` write, has these beside them.

On a terminal there is a live view; elsewhere a line per event, and with --jsonl a JSON object per
line, each as soon as the event is over. Exit code: 0 the source ended; 1 fatal; 2 wrong usage;
130 ended by Ctrl-C (or SIGTERM), after what was under way was written and told.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Sequence
from contextlib import closing
from datetime import datetime
from typing import TYPE_CHECKING, Any

from oido.cli.arguments import add_command
from oido.cli.options import plan_of
from oido.cli.terminal import print_message, signal_handled
from oido.errors import AudioError, OptionError
from oido.messages import tr
from oido.options import OPTIONS
from oido.params import DEFAULT_THRESHOLD

if TYPE_CHECKING:
    from oido.cli.live_output import LiveOutput
    from oido.inference.classifier import AudioClassifier
    from oido.live.actions import Runner
    from oido.live.monitor import LiveMonitor, UtcClock
    from oido.live.tls import Tls
    from oido.signal.decode import AudioReader


_GRACE_SECONDS = 5.0
_REPLAY_GRACE_SECONDS = 600.0  # nothing comes after it, and nothing shall be lost


def add_parser(commands: Any) -> None:
    """Add ``oido listen``. ``args.rules`` becomes [("on" | "do", text)] in order."""
    add = add_command(commands, "listen", _run, __doc__)
    add(
        "source SOURCE",
        "mic (the default), mic:DEVICE (a number or part of a name, see `oido devices`), - "
        "(standard input: any container, or raw samples with --rate), or an address: rtsp://, "
        "http://, https:// and more; with --replay a recording",
        nargs="?",
        default="mic",
    )
    add_source = add.group("the source")
    add_source("--rate HZ", "raw samples come on standard input, at this rate", type=int)
    add_source(
        "--encoding",
        "of raw samples: 16-bit integers (default) or floats, little-endian",
        choices=("s16le", "f32le"),
    )
    add_source("--channels N", "of raw samples, interleaved (default 1)", type=int)
    add_source(
        "--timeout SECONDS",
        "an address from which nothing comes for so long is opened again (default 10)",
        type=_positive,
        default=10.0,
    )
    add_tls = add.group("certificates (https, rtsps, rtmps and mqtts, of sources and actions)")
    add_tls("--tls-ca FILE", "trust the certificates in this file (PEM), beside the system's")
    add_tls("--tls-cert FILE", "a certificate of your own (PEM), for servers that want one")
    add_tls("--tls-key FILE", "its key, if that is not in the same file")
    add_tls("--tls-insecure", "check no certificate: whoever is on the way can listen and answer")
    add_output = add.group("output")
    add_output("--jsonl", "a JSON object per line, for other programs")
    add_output("--windows", "also a line per window, with its best labels")
    add_output("--plain", "lines to read, also where there is a terminal")
    add_output.quiet("say nothing on standard error")
    add_output("-v, --verbose", "where an internal error was")
    reported = add.group("what is reported")
    reported.options("top", help="bars of the view (default 8), or labels of a window (5)")
    reported.options(
        "threshold",
        help="lowest score of an event, 0..1, or probability of a calibrated model (default: the "
        f"model's own, or {DEFAULT_THRESHOLD:g})",
    )
    reported.options(
        "thresholds", help="thresholds per label: CSV lines label,threshold, or a JSON object"
    )
    reported.options("labels")
    reported.labels(of_allow="; triggers hear all")
    reported.options("off_ratio", "min_duration", "merge_gap", "unknown")
    add_trigger = add.group("triggers")
    add_trigger(
        "--on CONDITION",
        'LABEL[|LABEL…][>SCORE][ for DURATION][ cool-down DURATION], such as "Dog|Bark>0.5 '
        'for 2s" (repeat)',
        dest="rules",
        action=_Rule,
        default=[],
    )
    add_trigger(
        "--do ACTION",
        "of the --on before it (repeat): webhook:URL (JSON), exec:CMD, mqtt://HOST/TOPIC, "
        "save:FOLDER (the sound), upload:URL (the sound)",
        dest="rules",
        action=_Rule,
    )
    for name, default, text in (
        ("cool-down", 30.0, "a trigger goes on again only after so long"),
        ("off-after", 2.0, "a sound is over when it was not heard for so long"),
        ("pre-roll", 3.0, "clips begin so long before the sound"),
        ("post-roll", 1.0, "clips end so long after the sound"),
        ("max-clip", 60.0, "clips end so long after the trigger at the latest"),
    ):
        add_trigger(
            f"--{name} SECONDS", f"{text} (default {default:g})", type=float, default=default
        )
    add_trigger(
        "--off-events",
        "webhooks and programs are told when a sound is over, too (a broker always is)",
    )
    add_trigger("--forget-speech", "never store nor upload a clip in which speech is heard")
    add_trigger(
        "--replay",
        "rehearse on a recording, SOURCE, as fast as it is read and in its own time; what actions "
        "would get is a line each on standard error",
    )
    add_trigger("--act", "with --replay: do the actions, too")
    prediction = add.group("how it is heard")
    prediction.options("model", "precision", "hop")
    prediction.options(
        "channel",
        metavar="mix|N",
        type=_channel,
        help="the mean of all channels (default), or channel N from 0",
    )
    prediction.options("head", "calibration")
    add.rare(
        "rate",
        "encoding",
        "channels",
        "timeout",
        "off_after",
        "pre_roll",
        "post_roll",
        "max_clip",
        "off_events",
        "forget_speech",
    )


class _Rule(argparse.Action):
    """Keeps --on and --do in one list, because their order means something."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        rules = list(getattr(namespace, self.dest) or [])
        rules.append(((option_string or "").strip("-")[:2], values))
        setattr(namespace, self.dest, rules)


def _channel(text: str) -> str | int:
    if text == "each":
        raise OptionError(tr("--channel must be mix or a number from 0, not 'each'"))
    channel: str | int = OPTIONS["channel"].read(text, "--channel")
    return channel


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            tr("must be a number of seconds, not {text!r}", text=text)
        ) from error
    if not 0.0 < value <= 3600.0:
        raise argparse.ArgumentTypeError(
            tr("must be above 0 and at most 3600, not {text}", text=text)
        )
    return value


def _run(args: argparse.Namespace) -> None:
    import numpy as np

    from oido.batch.recording import make_classifier
    from oido.cli.terminal import silence_libraries, silence_stderr
    from oido.live.monitor import LiveMonitor

    raw = args.rate is not None or args.encoding is not None or args.channels is not None
    if raw and args.source != "-":
        raise OptionError(tr("--rate, --encoding and --channels are for raw samples on a pipe: -"))
    if raw and args.rate is None:
        raise OptionError(tr("raw samples need their rate, such as --rate 16000"))
    if args.act and not args.replay:
        raise OptionError(tr("--act is for --replay; live, actions are always done"))
    tls = _tls(args)
    rules, shared = _rules(args, tls)
    plan = plan_of(args, level="events", top=None, aggregation=None)
    with silence_stderr(not args.verbose):
        classifier = make_classifier(plan)
        windowing = classifier.windowing
        # The first window is slowest: it is run before the microphone opens.
        classifier.classify(np.zeros(windowing.window_samples), windowing.sample_rate_hz)
        output = _output(args, classifier)
        reader = _open_source(args, output, tls)
    is_microphone = args.source == "mic" or args.source.startswith("mic:")
    with silence_libraries(is_microphone and not args.verbose), closing(reader):
        clock = _recording_clock(reader, output) if args.replay else None
        on_block = output.show
        monitor = LiveMonitor(
            classifier, reader, plan.detection, channel=args.channel, on_block=on_block, clock=clock
        )
        output.attach(monitor.info.name, monitor.clock)
        if rules:
            from oido.live.rule_engine import RuleEngine

            monitor.rule_engine = RuleEngine(
                rules,
                classifier.postprocessor,
                windowing,
                reader.info,
                monitor.clock.at,
                channel=args.channel,
                on_message=output.on_message,
                **shared,
            )
        _listen(monitor, output, _REPLAY_GRACE_SECONDS if args.replay else _GRACE_SECONDS)


def _listen(monitor: LiveMonitor, output: LiveOutput, grace_seconds: float) -> None:
    """To the end of the source, or to Ctrl-C; what is under way is finished in either case.

    grace_seconds: that actions have to finish after the end; after Ctrl-C, as live.
    """
    # SIGTERM, which services are ended with, ends as cleanly as Ctrl-C.
    with signal_handled(signal.SIGTERM, signal.default_int_handler):
        try:
            if monitor.rule_engine is not None:
                monitor.rule_engine.start()
            output.open()
            try:
                for update in monitor:
                    output.on_update(update)
            except (AudioError, KeyboardInterrupt):
                grace_seconds = _GRACE_SECONDS
                output.on_update(monitor.finish())
                raise
            except BrokenPipeError:
                monitor.finish()
                raise
            output.on_update(monitor.finish())
        finally:
            output.close()
            if monitor.rule_engine is not None:
                monitor.rule_engine.close(grace_seconds)
                if monitor.rule_engine.forgotten > 1:
                    output.on_message(
                        tr(
                            "{forgotten} clips with speech were not kept",
                            forgotten=monitor.rule_engine.forgotten,
                        )
                    )


def _tls(args: argparse.Namespace) -> Tls | None:
    """The certificates, read before anything is opened; None: the system's only."""
    if not (args.tls_ca or args.tls_cert or args.tls_key or args.tls_insecure):
        return None
    from oido.live.tls import Tls

    if args.tls_insecure and args.tls_ca:
        raise OptionError(tr("--tls-ca says whom to trust, --tls-insecure trusts all: give one"))
    tls = Tls(args.tls_ca, args.tls_cert, args.tls_key, args.tls_insecure)
    _ = tls.context  # what cannot be used is an error now
    if tls.is_insecure and not args.quiet:
        print_message(
            tr(
                "--tls-insecure: no certificate is checked, so whoever is on the way "
                "can listen, change what is sent, and read passwords; --tls-ca FILE "
                "is the safe way"
            )
        )
    return tls


def _rules(args: argparse.Namespace, tls: Tls | None) -> tuple[list[Any], dict[str, Any]]:
    """The rules, each ``--do`` with the ``--on`` before it, and what they share."""
    if not args.rules:
        if args.forget_speech:
            raise OptionError(
                tr("--forget-speech is about clips: add --on CONDITION --do save:FOLDER")
            )
        return [], {}
    from oido.live.actions import Action
    from oido.live.clips import ClipLimits
    from oido.live.rule_engine import Rule, parse_action
    from oido.live.triggers import TriggerParams, parse_condition

    rules: list[Rule] = []
    actions: dict[str, Action] = {}
    for kind, text in args.rules:
        if kind == "on":
            rules.append(Rule(parse_condition(text)))
        elif not rules:
            raise OptionError(
                tr("--do {text}… stands before any --on CONDITION", text=text.partition(":")[0])
            )
        else:
            if text not in actions:
                actions[text] = parse_action(text, off_events=args.off_events, tls=tls)
            if actions[text] not in rules[-1].actions:
                rules[-1].actions.append(actions[text])
    return rules, {
        "runner": _runner(args),
        "params": TriggerParams(args.cool_down, args.off_after, args.off_ratio),
        "limits": ClipLimits(args.pre_roll, args.post_roll, args.max_clip),
        "forget_speech": args.forget_speech,
    }


def _runner(args: argparse.Namespace) -> type[Runner]:
    from oido.live.actions import Runner

    if not args.replay:
        return Runner
    from oido.live.replay import DryRunner, WaitingRunner

    return WaitingRunner if args.act else DryRunner


def _recording_clock(reader: AudioReader, output: LiveOutput) -> UtcClock:
    """The time of day in the recording; where it tells none, its seconds count from midnight."""
    from oido.live.replay import RecordingClock
    from oido.results.clock import Clock

    began = Clock().read(reader.info.name, json.dumps(reader.tags())).at
    if began is None:
        began = datetime.now().astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
        output.on_message(
            tr(
                "{name} does not say when it was recorded: its times count from midnight",
                name=reader.info.name,
            )
        )
    return RecordingClock(began)


def _open_source(args: argparse.Namespace, output: LiveOutput, tls: Tls | None) -> AudioReader:
    """Each source needs only its own libraries."""
    source: str = args.source
    if args.replay:
        if source in ("mic", "-") or source.startswith("mic:"):
            raise OptionError(tr("--replay is for a recording: oido listen FILE --replay"))
        from oido.live.replay import ReplayReader
        from oido.signal.decode import open_audio

        return ReplayReader(open_audio(source))
    if source == "-":
        from oido.live.pipe import ContainerReader, PcmReader

        # Without Python's buffer: its lock, held by a thread that waits, would break the exit.
        pipe = getattr(sys.stdin.buffer, "raw", sys.stdin.buffer)
        if args.rate is not None:
            encoding, channels = args.encoding or "s16le", args.channels or 1
            return PcmReader(pipe, args.rate, encoding, channels)
        return ContainerReader(pipe, on_gap=output.gap)
    if source == "mic" or source.startswith("mic:"):
        from oido.live.microphone import MicrophoneReader

        device = source.partition(":")[2] or None
        return MicrophoneReader(device, channel=args.channel, on_gap=output.gap)
    if "://" in source:
        from oido.live.network import NetworkReader

        return NetworkReader(
            source, timeout=args.timeout, tls=tls, on_gap=output.gap, on_message=output.on_message
        )
    raise OptionError(
        tr(
            "oido listens to mic, mic:DEVICE, - or an address, not to {source!r}; "
            "for a recording there is `oido classify`, or --replay to rehearse "
            "triggers on it",
            source=source,
        )
    )


def _output(args: argparse.Namespace, classifier: AudioClassifier) -> LiveOutput:
    from oido.cli.live_output import JsonLines, Lines, Screen, can_draw

    selector, windowing = classifier.postprocessor.selector, classifier.windowing
    hop = windowing.hop_samples / windowing.sample_rate_hz
    if not (args.jsonl or args.plain or args.windows or args.replay) and can_draw():
        return Screen(classifier.model.name, selector, hop, args.top or 8, quiet=args.quiet)
    kind, top = JsonLines if args.jsonl else Lines, (args.top or 5) if args.windows else None
    return kind(selector, hop, top, quiet=args.quiet)
