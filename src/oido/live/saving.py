# SPDX-License-Identifier: Apache-2.0
"""``save:FOLDER`` keeps the sound around each trigger as a WAV file, with a JSON file beside it."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from oido.errors import OptionError, OutputError
from oido.live.actions import Action, ActionError, Message, TriggerName
from oido.live.gaps import Say
from oido.writers.output import AtomicFile, free_path

__all__ = ["SaveClip"]


class SaveClip(Action):
    """Files appear under their names only when they are whole: 20260501T120305.120Z_dog.wav.

    A clip whose name is taken becomes …_dog-2.wav: nothing in the folder is overwritten.
    """

    wants_clip = True

    def __init__(self, folder: str) -> None:
        if not folder:
            raise OptionError("save: needs a folder, such as save:clips")
        self.name = f"save:{folder}"
        self._folder = Path(folder).expanduser()

    def open(self, triggers: Sequence[TriggerName], say: Say) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OptionError(f"{self.name}: cannot be made ({error.strerror})") from error
        if not os.access(self._folder, os.W_OK | os.X_OK):
            raise OptionError(f"{self.name}: may not be written to")

    def do(self, message: Message) -> None:
        clip, state = message.clip, message.state
        assert clip is not None
        moment = state.start_utc.replace("-", "").replace(":", "")
        stem = free_path(lambda n: self._folder / f"{moment}_{state.slug}{n and '-' + n}.wav").stem
        record = state.record() | {
            "clip": f"{stem}.wav",
            "clip_start_time": round(clip.start_time, 6),
            "clip_seconds": round(clip.seconds, 6),
        }
        text = json.dumps(record, ensure_ascii=False, indent=2) + "\n"
        self._write(f"{stem}.wav", clip.wav())
        self._write(f"{stem}.json", text.encode())

    def _write(self, name: str, content: bytes) -> None:
        try:
            file = AtomicFile(self._folder / name, binary=True)
            with file.guard():
                file.stream.write(content)
            file.commit_new()
        except (OutputError, FileExistsError) as error:
            raise ActionError(str(error), retry=False) from error
