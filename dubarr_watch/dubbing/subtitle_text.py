"""Reading subtitle files of any origin: encodings, markup, and what nobody says aloud."""

from __future__ import annotations

import codecs
import html
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pysubs2

from dubarr_watch.errors import DubarrError
from dubarr_watch.media import Opener, held, readable

# What it cannot read it leaves out; nobody needs to hear of each.
warnings.filterwarnings("ignore", "Failed to parse", RuntimeWarning, "pysubs2")

MAX_BYTES = 8 * 1024 * 1024
"""A three-hour film has about 200 kB of subtitles; styled ones with fonts inside a few MB."""

MAX_CUE_CHARS = 2000

# Encodings that subtitles had before Unicode, by the language they are in.
_OLD_ENCODINGS = {
    "cp1250": "pl cs sk hu hr sl ro sq bs",
    "cp1251": "ru uk bg sr mk be",
    "cp1253": "el",
    "cp1254": "tr az",
    "cp1255": "he yi",
    "cp1256": "ar fa ur",
    "cp1257": "lt lv et",
    "cp1258": "vi",
    "cp874": "th",
    "gb18030": "zh",
    "cp932": "ja",
    "cp949": "ko",
}
_OLD_ENCODING_OF = {code: name for name, codes in _OLD_ENCODINGS.items() for code in codes.split()}

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

# Every repetition is bounded: a file made to be slow must not hold up a job.
_BLANK_LINES = re.compile(r"\n{3,}")
_TAG = re.compile(r"<(?:/?[a-zA-Z]|\d)[^<>\n]{0,200}>")
_OVERRIDE = re.compile(r"\{[^{}]{0,2000}\}")
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")
# What turns the direction of writing, and what has no width; joiners belong to words.
_INVISIBLE = re.compile(
    r"[\u00ad\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
_BRACKETS = re.compile(r"\[[^\[\]]{0,300}\]|\([^()]{0,300}\)|（[^（）]{0,300}）|【[^【】]{0,300}】")
_LABEL = re.compile(r"^[-–—\s]{0,5}([^\W\d_][^:!?…\n]{0,30})[:：](?=\s|$)")
_DASH = re.compile(r"^\s{0,5}[-–—]{1,2}\s*(?=\S)")
_MUSIC = re.compile(r"[♪♫♬🎵🎶]")
_HASH_SONG = re.compile(r"^\s*#.*#\s*$", re.DOTALL)
_CREDIT = re.compile(
    r"https?://|\bwww\.|\b[\w-]{2,40}\.(?:com|org|net|tv|io)\b|opensubtitles|subscene|addic7ed",
    re.IGNORECASE,
)
_UNSPOKEN_STYLE = re.compile(r"\b(signs?|titles?|credits?|note)\b", re.IGNORECASE)
_SONG_STYLE = re.compile(r"\b(songs?|lyrics?|karaoke|op|ed|opening|ending)\b", re.IGNORECASE)
_DRAWING = re.compile(r"\\p[1-9]")
_SPOKEN = re.compile(r"[^\W_]")


@dataclass(frozen=True, slots=True)
class Cue:
    """A text and when it is shown or said, in seconds from the video's start."""

    start_s: float
    end_s: float
    text: str


@dataclass(frozen=True, slots=True)
class Subtitles:
    """What a set of subtitles tells.

    Attributes:
        cues: What is said, in order of start.
        songs: What is sung, in order of start.
    """

    cues: list[Cue]
    songs: list[Cue]


class SubtitlesUnusable(Exception):
    """A subtitle file says nothing that can be used; the message tells why."""


def read_subtitles(path: Path, language: str, opened: Opener = held) -> Subtitles:
    """Return what is said and sung in a SubRip, SubStation or WebVTT file.

    Markup, speaker labels, sounds in brackets, signs and credits are left out. Songs are told by
    notes (♪), by hashes around a text, and by the name of their style.

    Args:
        path: The file.
        language: ISO 639-1 code; tells which old encodings are likely.
        opened: Opens it.

    Raises:
        SubtitlesUnusable: The file cannot be read, or nothing is said or sung in it.
    """
    try:
        with readable(path, opened) as name, name.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except DubarrError as error:
        raise SubtitlesUnusable(error.message) from error
    except OSError as error:
        raise SubtitlesUnusable(f"It cannot be read: {error.strerror}.") from error
    return parse_subtitles(data, language)


def parse_subtitles(data: bytes, language: str) -> Subtitles:
    """Return what the bytes of a subtitle file tell; see `read_subtitles`."""
    if len(data) > MAX_BYTES:
        raise SubtitlesUnusable(f"It is larger than {MAX_BYTES // 2**20} MiB.")
    text = _BLANK_LINES.sub("\n\n", _decode(data, language))
    cues: dict[Cue, None] = {}
    songs: dict[Cue, None] = {}
    for event in _events(text):
        sung = _sung(event)
        words = sung or _spoken(event)
        if words and 0 <= event.start < event.end:
            found = songs if sung else cues
            found[Cue(event.start / 1000, event.end / 1000, words)] = None
    if not cues and not songs:
        raise SubtitlesUnusable("No spoken line was found in it.")
    return Subtitles(sorted(cues, key=_in_time), sorted(songs, key=_in_time))


def _in_time(cue: Cue) -> tuple[float, float]:
    return cue.start_s, cue.end_s


def _decode(data: bytes, language: str) -> str:
    encoding = next((name for mark, name in _BYTE_ORDER_MARKS if data.startswith(mark)), "")
    if not encoding and data[:2000].count(0) > len(data[:2000]) // 4:
        encoding = "utf-16-be" if data[:1] == b"\0" else "utf-16-le"
    if not encoding:
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError:
            encoding = _OLD_ENCODING_OF.get(language, "cp1252")
    if encoding:
        text = data.decode(encoding, "replace")
    if text.count("�") > max(3, len(text) // 100):
        raise SubtitlesUnusable("It is no text in any encoding that this language uses.")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _events(text: str) -> Iterator[pysubs2.SSAEvent]:
    head = text[:4000].lstrip("\ufeff \n\t")
    options: dict[str, bool] = {}
    if head.startswith("WEBVTT"):
        form = "vtt"
    elif re.search(r"^\[Script Info\]|^\[Events\]|^Dialogue:", head, re.MULTILINE):
        form = "ssa" if "[V4 Styles]" in head else "ass"
    else:
        # Tags are taken out here, by an expression that no file can make slow.
        form, options = "srt", {"keep_html_tags": True}
    try:
        found = pysubs2.SSAFile.from_string(text, form, **options)
    except (pysubs2.Pysubs2Error, ValueError, LookupError, ArithmeticError, TypeError) as error:
        raise SubtitlesUnusable(f"It is damaged: {type(error).__name__}.") from error
    for event in found:
        # What is longer is no line; reading it could take minutes.
        if len(event.text) > MAX_CUE_CHARS:
            continue
        if event.is_comment or _DRAWING.search(event.text):
            continue
        yield event


def _sung(event: pysubs2.SSAEvent) -> str:
    """Return the words of a cue that is a song; notes without words are only music."""
    text = _bare(event)
    marked = _MUSIC.match(text.strip()) or _HASH_SONG.match(text)
    if not marked and not _SONG_STYLE.search(event.style):
        return ""
    words = " ".join(_MUSIC.sub(" ", _BRACKETS.sub(" ", text)).strip("# \n").split())
    return words if _SPOKEN.search(words) else ""


def _bare(event: pysubs2.SSAEvent) -> str:
    text = html.unescape(_TAG.sub("", _OVERRIDE.sub("", event.plaintext)))
    return _INVISIBLE.sub("", _CONTROL.sub(" ", text))  # entities may name them, too


def _spoken(event: pysubs2.SSAEvent) -> str:
    """Return what is said aloud in one cue."""
    text = _bare(event)
    if _UNSPOKEN_STYLE.search(event.style) or _SONG_STYLE.search(event.style):
        return ""
    if _MUSIC.match(text.strip()) or _HASH_SONG.match(text) or _CREDIT.search(text):
        return ""
    # Brackets may reach over a line break, labels and music do not.
    lines = _BRACKETS.sub(" ", text).splitlines()
    said = [_without_label(line) for line in lines if not _MUSIC.search(line)]
    joined = " ".join(" ".join(said).split())
    return joined if _SPOKEN.search(joined) else ""


def _without_label(line: str) -> str:
    label = _LABEL.match(line)
    if label and label[1] == label[1].upper() and label[1] != label[1].lower():
        line = line[label.end() :]
    return _DASH.sub("", line)
