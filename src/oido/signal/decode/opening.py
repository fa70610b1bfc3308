# SPDX-License-Identifier: Apache-2.0
"""Finding the decoder for a source, by what it holds and not by its name."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import tempfile
from collections.abc import AsyncIterable, Callable, Iterable, Iterator
from typing import IO, Any, cast

from numpy.typing import NDArray

from oido.errors import (
    AudioError,
    AudioNotFoundError,
    CorruptAudioError,
    EmptyAudioError,
    InvalidSamplesError,
    UnknownFormatError,
)
from oido.messages import tr
from oido.signal.decode.chained import ChainedReader, FilePart, FileSpans, ogg_links
from oido.signal.decode.edits import LONGEST_PAUSES_SECONDS, Edit, EditedReader, inner_edits
from oido.signal.decode.no_recording import what_it_is
from oido.signal.decode.parts import beginning, recordings
from oido.signal.decode.readers import (
    ArrayReader,
    AudioReader,
    AudioSource,
    ChunkReader,
    as_array,
    is_array,
    is_chunks,
    source_name,
)
from oido.signal.decode.sizes import SoundBytes, is_unknown, sound_bytes, whole_header
from oido.signal.decode.wavpack import sound_blocks
from oido.urls import STORE

_Opener = Callable[[str | IO[bytes], str], AudioReader]

_SPOOL_BYTES = 64 << 20
_HEAD_BYTES = 24
_ENDLESS_BYTES = 0x7FF00000
"""What writes to a pipe tells sizes beyond this, less its header, and means none."""
_LOSS_BYTES = 1024
"""Less is no loss: some writers count their header."""
_MP4_BOXES = (b"ftyp", b"mdat", b"moov", b"wide", b"free", b"skip")
_W64 = b"riff"
_MP3_IN_WAV = b"\x55\0"
_WITH_SIZES = (b"RIFF", b"RIFX", b"RF64", b"BW64", b"FORM", b"caff", b".snd", b"dns.", b"riff")


def open_audio(source: AudioSource, sample_rate: int | None = None) -> AudioReader:
    """Open any source of audio.

    ``sample_rate`` (Hz) is required for an array, or for chunks, and refused for everything else,
    which knows its own rate. Raises an ``AudioError`` that names the source and the reason.
    """
    if is_array(source):
        return ArrayReader(as_array(source), sample_rate)
    if is_chunks(source):
        return ChunkReader(cast("Iterable[NDArray[Any]]", source), sample_rate)
    if isinstance(source, AsyncIterable):
        raise InvalidSamplesError(
            tr(
                "an asynchronous source is for `AsyncAudioClassifier`; here use a "
                "generator without `async`, or push what comes: "
                "`AudioClassifier.live`"
            )
        )
    name = source_name(source)
    if sample_rate is not None and _knows_its_rate(source):
        raise InvalidSamplesError(
            tr("{name}: sample_rate is only for arrays; a file knows its own rate", name=name)
        )
    if isinstance(source, str | os.PathLike):
        return _open_path(name) if source != "-" else _open_stream(sys.stdin.buffer, name)
    if isinstance(source, bytes | bytearray | memoryview):
        return _open_stream(io.BytesIO(source), name)
    if hasattr(source, "read"):
        return _open_stream(cast("IO[bytes]", source), name)
    raise InvalidSamplesError(
        tr(
            "audio must be a path, bytes, a binary file object, an array or chunks "
            "of samples, not {name}",
            name=type(source).__name__,
        )
    )


def _knows_its_rate(source: object) -> bool:
    files = (str, os.PathLike, bytes, bytearray, memoryview)
    return isinstance(source, files) or hasattr(source, "read")


def _open_path(path: str) -> AudioReader:
    if STORE.match(path) and not os.path.exists(path):
        from oido.signal.decode.remote import FetchedFile

        return _open_stream(FetchedFile(path), path)
    try:
        if os.path.isdir(path):
            os.scandir(path).close()
            raise AudioNotFoundError(tr("{path}: is a folder, not a recording", path=path))
        with open(path, "rb") as file:
            head = file.read(_HEAD_BYTES)
    except FileNotFoundError as error:
        raise AudioNotFoundError(tr("{path}: no such file", path=path)) from error
    except OSError as error:
        raise AudioNotFoundError(
            tr("{path}: cannot be read ({reason})", path=path, reason=error.strerror)
        ) from error
    except ValueError as error:  # a zero byte inside
        raise AudioNotFoundError(tr("{path!r}: is not a file name", path=path)) from error
    return _try_decoders(head, path, lambda: path)


def _open_stream(file: IO[bytes], name: str) -> AudioReader:
    if isinstance(file, io.TextIOBase):
        raise InvalidSamplesError(tr("{name}: open the file in binary mode ('rb')", name=name))
    if getattr(file, "closed", False):
        raise InvalidSamplesError(tr("{name}: the file is closed", name=name))
    # Decoders count from byte 0: what stands before the recording must go, too.
    if not (hasattr(file, "seekable") and file.seekable() and file.tell() == 0):
        file = _spool(file)
    head = file.read(_HEAD_BYTES)

    def rewound() -> IO[bytes]:
        file.seek(0)
        return file

    return _try_decoders(head, name, rewound)


def _spool(pipe: IO[bytes]) -> IO[bytes]:
    """A seekable copy of what is left to read, in memory up to 64 MB and on disk beyond."""
    spool = tempfile.SpooledTemporaryFile(max_size=_SPOOL_BYTES)  # noqa: SIM115
    while chunk := pipe.read(1 << 20):
        spool.write(chunk)
    spool.seek(0)
    return cast("IO[bytes]", spool)


def _decoders(head: bytes) -> tuple[_Opener, ...]:
    """The decoders for this content, the better one first.

    libsndfile is quicker on uncompressed audio. PyAV is quicker on Ogg (Opus by three times) and,
    with what it leaves to another decoder, on FLAC; it goes on behind a damaged stretch where
    libsndfile stops, and alone knows the containers of video. For MP3 there is no second try:
    libsndfile's library for it writes to the terminal.
    """
    if head.startswith(_WITH_SIZES):
        if head[8:16] == b"WAVEfmt " and head[20:22] == _MP3_IN_WAV:
            return (_pyav,)
        return _soundfile, _pyav
    if head.startswith(b"ID3") or (head[0] == 0xFF and len(head) > 1 and head[1] >= 0xE0):
        return (_pyav,)
    return _pyav, _soundfile


# Both libraries are slow to load, and most recordings need one of them.
def _pyav(source: str | IO[bytes], name: str, **believes: bool) -> AudioReader:
    from oido.signal.decode.pyav_reader import PyAvReader

    return PyAvReader(source, name, **believes)


def _soundfile(source: str | IO[bytes], name: str) -> AudioReader:
    from oido.signal.decode.soundfile_reader import SoundFileReader

    return SoundFileReader(source, name)


def _try_decoders(head: bytes, name: str, source: Callable[[], str | IO[bytes]]) -> AudioReader:
    if not head:
        raise EmptyAudioError(tr("{name}: is empty (0 bytes)", name=name))
    with _opened(source()) as file:
        opener = _special_opener(head, file, name, source)
    return _first_that_can(head, name, source) if opener is None else opener()


def _special_opener(
    head: bytes, file: IO[bytes], name: str, source: Callable[[], str | IO[bytes]]
) -> Callable[[], AudioReader] | None:
    """What opens a file that is not one recording from its first byte to its last."""
    if head.startswith(b"fLaC"):
        return None
    if head.startswith(b"wvpk"):
        blocks = sound_blocks(file)
        return (lambda: _pyav(_spans(blocks, source()), name)) if len(blocks) > 1 else None
    if head.startswith(b"OggS"):
        spans = ogg_links(file)
    elif head.startswith(_WITH_SIZES):
        parts = sound_bytes(file)
        spans = [(part.begin, part.end) for part in parts]
        # libsndfile takes chunks behind the samples of W64 for samples.
        is_long = bool(parts) and head.startswith(_W64) and parts[0].stop < parts[0].end
        is_elsewhere = is_long or (bool(parts) and not parts[0].is_believed)
        if len(parts) == 1:
            is_elsewhere = is_elsewhere or bool(parts[0].pieces)
            open_part = _by_its_samples if is_elsewhere else _of_one_part
            return lambda: _with_note_of_loss(open_part(parts[0], head, name, source), parts[0])
    elif begin := beginning(head, file):
        return lambda: _from(begin, head, name, source())
    else:
        spans = recordings(head, file)
        edits = inner_edits(file) if head[4:8] in _MP4_BOXES and len(spans) == 1 else None
        if edits is not None:

            def whole() -> AudioReader:
                return _pyav(source(), name, believes_edits=False)

            return lambda: EditedReader(whole(), edits, whole)
    return (lambda: _chained(spans, name, source())) if len(spans) > 1 else None


def _first_that_can(head: bytes, name: str, source: Callable[[], str | IO[bytes]]) -> AudioReader:
    reasons: list[AudioError] = []
    for decoder in _decoders(head):
        try:
            return decoder(source(), name)
        except AudioError as error:
            reasons.append(error)
        with _opened(source()) as file:
            known = what_it_is(file, name)
        if known is not None:
            raise known from reasons[0]
    # The second decoder is the fallback: when both fail, the more telling reason is the one that
    # is not "unknown format".
    telling = [e for e in reasons if not isinstance(e, UnknownFormatError)]
    raise (telling or reasons)[0]


@contextlib.contextmanager
def _opened(source: str | IO[bytes]) -> Iterator[IO[bytes]]:
    """The source as a file, closed afterwards if it was a path."""
    if isinstance(source, str):
        with open(source, "rb") as file:
            yield file
    else:
        yield source


def _from(begin: int, head: bytes, name: str, source: str | IO[bytes]) -> AudioReader:
    """What begins later in a file, behind a tag or what is none of it."""
    file = open(source, "rb") if isinstance(source, str) else source  # noqa: SIM115
    stop = file.seek(0, os.SEEK_END)
    rest = FilePart(file, begin, stop, owns=isinstance(source, str))
    reader = _open_stream(cast("IO[bytes]", rest), name)
    if not head.startswith(b"ID3"):
        reader.notes = (
            tr("{begin} bytes before the recording were passed over", begin=begin),
            *reader.notes,
        )
    return reader


def _spans(spans: list[tuple[int, int]], source: str | IO[bytes], head: bytes = b"") -> IO[bytes]:
    file = open(source, "rb") if isinstance(source, str) else source  # noqa: SIM115
    return cast("IO[bytes]", FileSpans(file, spans, head=head, owns=isinstance(source, str)))


def _chained(spans: list[tuple[int, int]], name: str, source: str | IO[bytes]) -> AudioReader:
    """Recordings one behind the other in one file."""
    file = open(source, "rb") if isinstance(source, str) else source  # noqa: SIM115

    def opener(span: tuple[int, int]) -> Callable[[], AudioReader]:
        def part() -> IO[bytes]:
            return cast("IO[bytes]", FilePart(file, *span))

        head = part().read(_HEAD_BYTES)
        open_one = _try_decoders if head.startswith(_WITH_SIZES) else _first_that_can
        return lambda: open_one(head, name, part)

    on_close = file.close if isinstance(source, str) else lambda: None
    openers = [opener(span) for span in spans]
    failures: list[AudioError] = []
    while openers:
        try:
            first = openers.pop(0)()
        except AudioError as error:
            failures.append(error)
            continue
        reader = ChainedReader(first, openers, on_close=on_close, damaged=len(failures))
        reader.notes = (
            tr("{n_spans} recordings, one behind the other in one file", n_spans=len(spans)),
        )
        return reader
    on_close()
    raise failures[0]


def _of_one_part(
    part: SoundBytes, head: bytes, name: str, source: Callable[[], str | IO[bytes]]
) -> AudioReader:
    """A file that decoders may refuse or find empty, though its samples are known to be there."""
    try:
        return _first_that_can(head, name, source)
    except AudioError:
        if part.start >= part.stop:
            raise
        try:
            return _with_own_header(part, name, source)
        except AudioError:
            pass
        raise


def _by_its_samples(
    part: SoundBytes, head: bytes, name: str, source: Callable[[], str | IO[bytes]]
) -> AudioReader:
    """A file whose samples lie elsewhere than the decoder for its header would look: its header
    tells less sound than there is, or they are in several pieces."""
    from oido.signal.decode.soundfile_reader import SAMPLE_ENCODINGS, SoundFileReader

    note = (
        tr(
            "its header tells {declared} bytes of sound, and {stop} are there: read "
            "to the end of the file",
            declared=part.declared,
            stop=part.stop - part.start,
        ),
    )
    try:
        with SoundFileReader(source(), name) as known:
            if known.encoding in SAMPLE_ENCODINGS:
                samples = _spans(part.spans, source())
                reader: AudioReader = SoundFileReader(
                    samples, name, like=known, is_little=part.is_little
                )
            elif part.pieces:
                reader = _with_own_header(part, name, source)
            else:
                reader = _pyav(source(), name, believes_sizes=False)
    except AudioError:
        if not part.pieces:
            return _first_that_can(head, name, source)
        reader = _with_own_header(part, name, source)
    if part.pieces:
        return _with_pauses(reader, part)
    reader.notes = () if part.is_believed else note
    return reader


def _with_note_of_loss(reader: AudioReader, part: SoundBytes) -> AudioReader:
    """With a note if a good part of what the header tells is not there: of a card that was pulled
    out, a copy that was broken off."""
    there = part.size
    is_size = not is_unknown(part.declared) and part.declared < _ENDLESS_BYTES
    if is_size and not part.pieces and part.declared - there >= _LOSS_BYTES:
        note = tr(
            "its header tells {declared} bytes of sound, and only {there} are there: the end of "
            "it was lost, or never written",
            declared=part.declared,
            there=there,
        )
        reader.notes = (*reader.notes, note)
    return reader


def _with_own_header(
    part: SoundBytes, name: str, source: Callable[[], str | IO[bytes]]
) -> AudioReader:
    """Its samples behind a header that says nothing else."""
    with _opened(source()) as file:
        header = whole_header(file, part)
    if header is None:
        raise CorruptAudioError(
            tr("{name}: is damaged and cannot be decoded (its header)", name=name)
        )
    return _soundfile(_spans(part.spans, source(), header), name)


def _with_pauses(reader: AudioReader, part: SoundBytes) -> AudioReader:
    """Samples in several pieces, with the silence for which a WAV holds no samples (wavl)."""
    rate = reader.info.sample_rate_hz
    silent = -sum(start for start, stop in part.pieces if not stop) / rate
    if not 0 < silent <= LONGEST_PAUSES_SECONDS:
        return reader
    frames_per_byte = (reader.info.frames or 0) / part.size
    edits, at = [], 0
    for start, stop in part.pieces:
        seconds = (stop - start if stop else -start / frames_per_byte) * frames_per_byte / rate
        edits.append(Edit(at * frames_per_byte / rate if stop else None, seconds))
        at += stop - start if stop else 0
    edited = EditedReader(reader, edits)
    edited.notes = ()
    return edited
