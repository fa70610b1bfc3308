# SPDX-License-Identifier: Apache-2.0
"""Rules: a condition and what to do, as ``--on CONDITION --do ACTION`` gives them."""

from __future__ import annotations

from dataclasses import dataclass, field

from oido.errors import OptionError
from oido.live.actions import Action
from oido.live.builtin_actions import ClipUpload, Command, SaveClip, Webhook
from oido.live.conditions import Condition
from oido.live.mqtt import Mqtt

__all__ = ["Rule", "parse_action"]

_FORMS = "webhook:URL, exec:CMD, mqtt://HOST/TOPIC, save:FOLDER or upload:URL"


@dataclass(frozen=True)
class Rule:
    """One condition, and its actions; rules may share an action."""

    condition: Condition
    actions: list[Action] = field(default_factory=list)


def parse_action(text: str, *, off_events: bool = False) -> Action:
    """The action that a text names. Raises OptionError, or MissingExtraError.

    off_events: webhooks and programs are told of "off", too; a broker always is.
    """
    kind, colon, what = text.strip().partition(":")
    if kind == "webhook":
        return Webhook(what, wants_off=off_events)
    if kind == "upload":
        return ClipUpload(what)
    if kind == "exec":
        return Command(what, wants_off=off_events)
    if kind == "save" and colon:
        return SaveClip(what)
    if kind in ("mqtt", "mqtts") and what.startswith("//"):
        return Mqtt(text.strip())
    raise OptionError(f"--do {kind + colon!r}… is no action; there are {_FORMS}")
