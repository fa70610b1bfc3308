# SPDX-License-Identifier: Apache-2.0
"""The ``oido`` command as a process of its own, also as ``python -m oido``.

Ctrl-C is one sentence and exit code 130 from here on, also while the command is still loading.
"""

from __future__ import annotations

import _thread
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

_EXIT_INTERRUPTED = 130


def _interrupt_again(lost: UnraisableHookArgs) -> None:
    """A Ctrl-C that came in a finaliser, or in a weak reference's callback, which cannot raise it.

    Python would print that it was ignored, and the command would go on.
    """
    if lost.exc_type is KeyboardInterrupt:
        soon = threading.Timer(0.01, _interrupt)
        soon.daemon = True
        soon.start()
    else:
        sys.__unraisablehook__(lost)


def _interrupt() -> None:
    if sys.platform == "win32":
        _thread.interrupt_main()
    else:  # by a signal, which ends a wait too
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


def _interrupt_at_hangup() -> None:
    """A terminal that is closed is a Ctrl-C: what is under way ends well. Not under nohup."""
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        signal.signal(signal.SIGHUP, lambda *_: _interrupt())


def _open_closed_streams() -> None:
    """Who starts a command without one of its streams (``>&-``) wants nothing of it.

    Else the next file that is opened would get its number, and what libraries print.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115  # as long as the process


def _needs_worker(words: list[str]) -> bool:
    """Whether this command line surely ends with a worker at work, if nothing is wrong with it.

    Not with what changes the environment, which workers have from their start.
    """
    return (
        words[:1] in (["classify"], ["embed"])
        and not {"-h", "--no-color"}.intersection(words)
        and not any(word.startswith("--help") for word in words)
    )


def main() -> int:
    """Run this process's command line; the exit code."""
    sys.unraisablehook = _interrupt_again
    _interrupt_at_hangup()
    _open_closed_streams()
    try:
        from oido.cli.terminal import interrupts_held

        with interrupts_held():
            if _needs_worker(sys.argv[1:]):
                from oido.batch.worker_process import start_early

                start_early()
            from oido.cli.main import run

        code = run()
        # It is done, and the interpreter that ends would only show a traceback.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    except KeyboardInterrupt:
        # No command has begun, or a second Ctrl-C has cut short what the first one ended.
        from oido.messages import in_language, shown, system_language, tr

        with in_language(system_language()):
            print(shown(tr("oido: interrupted; give the command again")), file=sys.stderr)
        code = _EXIT_INTERRUPTED
    if code == _EXIT_INTERRUPTED:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # what still runs may be ended at once
        # Under -m, CPython ends by the signal if one once came while a string was run (a
        # dataclass's methods), although it was caught; to run another makes it forget that.
        exec("")
    return code


if __name__ == "__main__":
    sys.exit(main())
