# SPDX-License-Identifier: Apache-2.0
"""List the microphones and other inputs of this machine.

examples:
  oido devices
  oido listen mic:2            the device of this number
  oido listen mic:USB          the one device with this in its name

Needs PortAudio: pip install 'oido[live]', and on Linux the package libportaudio2.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

from oido.cli.arguments import add_command
from oido.messages import shown, tr


def add_parser(commands: Any) -> None:
    """Add ``oido devices``."""
    add = add_command(commands, "devices", _run, __doc__)
    add("--json", "as one JSON array")


def _run(args: argparse.Namespace) -> None:
    from oido.cli.terminal import data_output, print_line, silence_stderr
    from oido.live.microphone import input_devices

    with silence_stderr():  # ALSA tells of every device that it does not find
        devices = input_devices()
    if args.json:
        table = [device._asdict() for device in devices]
        print(json.dumps(table, ensure_ascii=False), file=data_output())
    elif not devices:
        print(shown(tr("There is no microphone or other input here.")))
    for device in devices if not args.json else ():
        mark = "*" if device.is_default else " "
        print_line(
            tr(
                "{mark} {number:3d}  {name}  ({system}, {channels} channels, {sample_rate_hz} Hz)",
                mark=mark,
                number=device.number,
                name=device.name,
                system=device.system,
                channels=device.channels,
                sample_rate_hz=device.sample_rate_hz,
            )
        )
