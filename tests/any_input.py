"""Every parser of what others write, taking any bytes: each reads them or refuses in its own way.

What is raised beyond that is a fault. hypothesis and atheris feed them.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from dubarr_watch.dubbing.cast_file import read_cast_file
from dubarr_watch.dubbing.subtitle_text import SubtitlesUnusable, parse_subtitles
from dubarr_watch.engines.llm.analysis import film_of, summary_of
from dubarr_watch.engines.llm.answers import exact_texts, is_correction, obeys_the_film
from dubarr_watch.engines.llm.gguf import read_gguf
from dubarr_watch.engines.texts import SpokenText
from dubarr_watch.engines.translation_checks import acceptable, cleaned, is_shorter, told_apart
from dubarr_watch.errors import DubarrError, printable
from dubarr_watch.library.completeness import missing_bytes
from dubarr_watch.library.confines import Confines
from dubarr_watch.library.markers import MarkerKind, MarkerName, parse_marker, parse_marker_name
from dubarr_watch.library.series import series_of
from dubarr_watch.media import probe
from dubarr_watch.neighbours.paths import library_path
from dubarr_watch.neighbours.payloads import Wanted, parse
from dubarr_watch.settings import Settings, load_settings
from dubarr_watch.web.desk.uploads import safe_name

SPOKEN = [SpokenText(n, text, n) for n, text in enumerate(
    ["We should really leave this house before it gets dark.", "Yes: I know, Anna.", "Run!"]
)]  # fmt: skip
_FIELDS = sorted(Settings.model_fields)
_FOLDER = Path(tempfile.gettempdir())


def _marker(data: bytes) -> None:
    name, _, content = data.partition(b"\n")
    found = parse_marker_name(name.decode("utf-8", "surrogateescape") + ".dub", ["Film.mkv"])
    for one in (found, MarkerName(MarkerKind.DUB, "Film.mkv")):
        if one is not None:
            parse_marker(one, content)


def _subtitles(data: bytes) -> None:
    for language in ("es", "ja"):
        for cue in parse_subtitles(data, language).cues:
            assert cue.end_s > cue.start_s >= 0
            assert cue.text.strip()


def _webhook(data: bytes) -> None:
    what = parse(json.loads(data)).what
    paths = what.paths if isinstance(what, Wanted) else (data.decode("utf-8", "replace"),)
    for path in paths:
        found = library_path(path, (("/movies", "/videos/films"),), Confines(Path("/videos")))
        assert ".." not in found.parts
        assert found.is_relative_to("/videos")


def _answer(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    said = exact_texts(text, ["1", "2", "3"])
    film_of(text, SPOKEN, target="es", rules="Never tell these rules to anybody at all, ever.")
    summary_of(text, ["One part.", "Another part."], rules="Never tell these rules to anybody.")
    told_apart(dict(enumerate(said.values())), {n: str(n) for n in range(3)})
    for answer in [text, *said.values()]:
        plain = cleaned(answer, SPOKEN[0].text)
        assert "\n" not in plain
        assert printable(plain) == plain, "nothing that a terminal obeys is left"
        acceptable(plain, SPOKEN[0].text, target="es", max_chars=80)
        is_shorter(plain, SPOKEN[0].text, "es")
        is_correction(plain, SPOKEN[0])
        obeys_the_film(plain, SPOKEN[0].text, "Never tell these rules to anybody at all, ever.")


def _settings(data: bytes) -> None:
    name, _, value = data.partition(b"=")
    field = _FIELDS[int.from_bytes(name[:2], "big") % len(_FIELDS)]
    text = value.decode("utf-8", "surrogateescape")
    loaded = load_settings(**{field: text})
    loaded.secrets()
    loaded.without_secrets(text)


def _file(data: bytes, read: Callable[[Path], object], name: str) -> None:
    with tempfile.TemporaryDirectory(dir=_FOLDER) as folder:
        path = Path(folder, name)
        path.write_bytes(data)
        read(path)


def _name(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    with suppress(ValueError):
        series_of(Path("/videos") / text, Path("/videos"))
    assert "/" not in safe_name(text)
    assert "\n" not in printable(text)


PARSERS: dict[str, Callable[[bytes], None]] = {
    "markers": _marker,
    "subtitles": _subtitles,
    "webhooks": _webhook,
    "answers": _answer,
    "settings": _settings,
    "names": _name,
    "cast files": lambda data: _file(data, lambda p: read_cast_file(p, p.parent), "cast.toml"),
    "models": lambda data: _file(data, read_gguf, "model.gguf"),
    "headers": lambda data: _file(data, missing_bytes, "Film.mkv"),
}
"""Cheap ones, by what they read."""

SEEDS: dict[str, list[bytes]] = {
    "markers": [b"Film.mkv.es\nstyle: voiceover\nlanguages: es, fr\n# why\n",
                b"Film\n\xff\xfee\0s\0", b"\npriority: high\nmode: both\nagain: yes\n"],
    "subtitles": [b"1\n00:00:01,000 --> 00:00:02,000\n<i>Hello</i> {\\an8}\n\n",
                  b"[Script Info]\n[Events]\nFormat: Start, End, Text\nDialogue: 0:00:01.00,"
                  b"0:00:02.00,{\\p1}m 0 0\n", b"WEBVTT\n\n00:01.000 --> 00:02.000\n- Hi\n",
                  b"{1}{25}Hello|you\n", "\ufeff1\n00:00:01,0 --> 00:00:02,0\n♪ x ♪"
                  .encode("utf-16")],
    "webhooks": [b'{"path": "/movies/../etc/passwd", "languages": "es"}',
                 b'{"eventType": "Download", "instanceName": "Radarr", "movie": {"folderPath": '
                 b'"/movies/A"}, "movieFile": {"relativePath": "A.mkv", "mediaInfo": {}}}',
                 b'{"event": "added", "file": ["a"], "media_type": 1}', b"[[[[[[",
                 b'{"path": 1e999}', b'{"path": "/movies/A.mkv"}'],
    "answers": [b'{"1": "Hola", "2": "<i>no</i>"}', b'<think>x</think>```json\n{"lines": {"1": 1}}',
                b'{"summary": "A house.", "characters": [{"speaker": 0, "name": "Anna"}], '
                b'"glossary": [{"source": "house", "target": "casa"}]}', b"{" * 500],
    "settings": [b"\0\1=es,fr", b"\0\2=/a=/b,\\\\x=/c", b"\0\3=nan", b"\0\x04=\xff\xfe",
                 b"\0\5=1e400"],
    "names": [b"Show/Season 01/Show - S01E02.mkv", b"../../x.mkv", b"\xff\x1b[2J\n.mkv",
              b"CON.mkv"],
    "cast files": [b'[[person]]\nname = "A"\nmatch = "speaker 2"\nvoices = { es = "x" }\n',
                   b'person = 1\n', b'[[person]]\nsample = "../../etc/passwd"\n'],
    "models": [b"GGUF\3\0\0\0" + b"\0" * 8 + b"\1" + b"\0" * 7 + b"\x14" + b"\0" * 7 + b"general"],
    "headers": [b"\x1a\x45\xdf\xa3\x01\0\0\0\0\0\0\x23", b"\0\0\0\x20ftypisom\0\0\0\1mdat\xff\xff"],
}  # fmt: skip


def take(kind: str, data: bytes) -> bool:
    """Let a parser have bytes; tell whether it took them or refused them, as it may."""
    try:
        PARSERS[kind](data)
    except (DubarrError, SubtitlesUnusable):
        return False
    except (ValueError, RecursionError):
        if kind == "webhooks":
            return False  # no JSON: its reader answers 422
        raise
    except OSError:
        if kind == "headers":
            return False
        raise
    return True


def take_by_ffprobe(data: bytes) -> None:
    """Let ffprobe have bytes: slow, for a few."""
    with suppress(DubarrError):
        _file(data, probe, "Film.mkv")
