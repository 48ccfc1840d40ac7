"""Doing what a message from a neighbour asks for."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from dubarr_watch.errors import WrongUsage, printable
from dubarr_watch.languages import parse_language, parse_languages
from dubarr_watch.library.confines import Confines
from dubarr_watch.library.intake import Library
from dubarr_watch.library.markers import parse_options
from dubarr_watch.library.naming import is_ignored_path, is_video_name
from dubarr_watch.library.scanner import Walk
from dubarr_watch.neighbours.paths import OutsideLibrary, library_path
from dubarr_watch.neighbours.payloads import (
    Arrived,
    Deleted,
    Ignored,
    News,
    Renamed,
    Test,
    Wanted,
    What,
)
from dubarr_watch.neighbours.tags import Tagged, read_tags
from dubarr_watch.settings import Settings
from dubarr_watch.store.inbox import InboxState
from dubarr_watch.store.records import JobOptions
from dubarr_watch.store.store import Store

_BY_TAG = "# by the tag nodub; taken away with it\n"
_NAMED = 5

Outcome = tuple[InboxState, str]
"""What became of a message, and that in plain words."""


class Letters:
    """Works messages off; doing one twice does no more than doing it once.

    Args:
        settings: VIDEOS_DIR, PATH_MAP, TARGET_LANGS.
        store: What files are said to speak.
        library: Takes requests as it does from markers.
    """

    def __init__(self, settings: Settings, store: Store, library: Library) -> None:
        self._settings = settings
        self._root = settings.videos_dir
        self._store = store
        self._library = library

    def work_off(self, news: News) -> Outcome:
        """Do what a message asks for; what lies outside of the library is refused, the rest done.

        Raises:
            DubarrError: The store failed; the message is to be worked off again.
        """
        done: list[str] = []
        refused: list[str] = []
        what: What = news.what
        if isinstance(what, Ignored):
            return InboxState.IGNORED, what.why
        if isinstance(what, Test):
            return InboxState.DONE, "The connection works."
        if isinstance(what, Arrived):
            self._arrived(what, done, refused)
        elif isinstance(what, Renamed):
            self._renamed(what, done, refused)
        elif isinstance(what, Deleted):
            self._deleted(what, done, refused)
        else:
            self._wanted(what, done, refused)
        state = InboxState.REFUSED if refused and not done else InboxState.DONE
        return state, " ".join(_first(refused) + _first(done))

    def check(self, wanted: Wanted) -> tuple[list[Path], list[str], JobOptions]:
        """Return the videos, languages and options that somebody wants.

        Raises:
            WrongUsage: The path is none of a video in the library, or a wish has no meaning.
        """
        if not wanted.paths:
            raise WrongUsage("It names no file.", hint='Send {"path": "/folder/Film.mkv"}.')
        wishes = dict(wanted.wishes)
        languages = [one.code for one in parse_languages(wishes.pop("languages", ""))]
        options = parse_options(wishes)
        videos = [video for path in wanted.paths for video in self._videos(path)]
        return videos, languages, options

    def _videos(self, theirs: str) -> list[Path]:
        path = library_path(theirs, self._settings.path_map, Confines.of(self._settings))
        if path.is_dir():
            videos = [
                video.path
                for folder in Walk(path, self._settings.follow_links).folders()
                for video in folder.videos
            ]
            if not videos:
                raise WrongUsage("There is no video in this folder.", path=path)
            return videos
        self._must_be_a_video(path)
        return [path]

    def _arrived(self, what: Arrived, done: list[str], refused: list[str]) -> None:
        tagged = read_tags(what.tags, self._settings.target_langs)
        if tagged.unclear:
            words = ", ".join(map(printable, tagged.unclear))
            refused.append(f"No language is called {words}, as a tag has it.")
        came = [(p, spoken) for f, spoken in what.files if (p := self._ours(f, refused))]
        for gone in what.replaced:
            if old := self._ours(gone, refused):
                heir = came[0][0] if len(came) == 1 else old
                done += [
                    f"Job {job} is superseded." for job in self._library.changes.replaced(old, heir)
                ]
        for path, spoken in came:
            try:
                self._must_be_a_video(path)
            except WrongUsage as error:
                refused.append(str(error))
                continue
            self._store.spoken.set(path, spoken)
            done.append(f"{printable(path.name)}: {self._take(path, tagged)}")

    def _take(self, path: Path, tagged: Tagged) -> str:
        forbidding = path.with_name(f"{path.name}.nodub")
        if tagged.never:
            try:
                forbidding.parent.mkdir(parents=True, exist_ok=True)
                with forbidding.open("x", encoding="utf-8") as marker:
                    marker.write(_BY_TAG)
            except FileExistsError:
                pass
            except OSError as error:
                return f"the tag nodub cannot be kept: {error.strerror}."
            self._library.look_at(forbidding)
            return "not to be dubbed."
        lift = partial(self._lift, forbidding)
        if tagged.dub:
            self._library.allow(path, tagged.languages, JobOptions(), lift)
            return f"asked for {_names(tagged.languages)}."
        lift()
        self._library.look_at(path)
        return "taken as every new video is."

    def _lift(self, forbidding: Path) -> None:
        """Take a `.nodub` away, if it is a tag's."""
        with suppress(OSError, UnicodeDecodeError):
            if forbidding.read_text(encoding="utf-8") == _BY_TAG:
                forbidding.unlink()
                self._library.look_at(forbidding)

    def _wanted(self, what: Wanted, done: list[str], refused: list[str]) -> None:
        try:
            videos, languages, options = self.check(what)
        except WrongUsage as error:
            refused.append(str(error))
            return
        for path in videos:
            self._library.ask(path, languages, options)
            done.append(f"{printable(path.name)}: asked for {_names(languages)}.")

    def _renamed(self, what: Renamed, done: list[str], refused: list[str]) -> None:
        for before, after in what.pairs:
            old, new = self._ours(before, refused), self._ours(after, refused)
            if old and new and _is_still_there(old, new):
                refused.append(f"{printable(old.name)} is still there, so nothing follows.")
                self._library.look_at(new)
            elif old and new:
                carried = self._library.changes.renamed(old, new)
                with_it = f" with {len(carried)} of our files" if carried else ""
                done.append(f"{printable(old.name)} is {printable(new.name)} now{with_it}.")
            elif old or new:  # it left the library, or came into it
                self._library.look_at(old or new or self._root)

    def _deleted(self, what: Deleted, done: list[str], refused: list[str]) -> None:
        for gone in what.paths:
            path = self._ours(gone, refused)
            if path == self._root:
                refused.append("The whole library is not taken for deleted.")
            elif path is not None:
                jobs = self._library.changes.deleted(path, on_purpose=what.on_purpose)
                ended = f"; cancelled {', '.join(f'job {job}' for job in jobs)}" if jobs else ""
                done.append(f"{printable(path.name)} is gone{ended}.")

    def _ours(self, theirs: str, refused: list[str]) -> Path | None:
        try:
            return library_path(theirs, self._settings.path_map, Confines.of(self._settings))
        except OutsideLibrary as error:
            refused.append(str(error))
            return None

    def _must_be_a_video(self, path: Path) -> None:
        if not is_video_name(path.name) or is_ignored_path(path, self._root):
            raise WrongUsage(
                "This is no video that is dubbed.",
                hint="Videos are known by their ending; hidden ones, samples and extras are left "
                "alone.",
                path=path,
            )


def _is_still_there(old: Path, new: Path) -> bool:
    """Tell whether a file has its old name yet; some file systems find it whatever its case is."""
    try:
        return not old.samefile(new) or old.name in os.listdir(old.parent)
    except OSError:
        return os.path.lexists(old)


def _names(codes: Sequence[str]) -> str:
    return ", ".join(parse_language(code).name for code in codes) or "TARGET_LANGS"


def _first(told: list[str]) -> list[str]:
    """Return some sentences, each once, and how many more there are."""
    some = list(dict.fromkeys(told))
    more = [f"And {len(some) - _NAMED} more."] if len(some) > _NAMED else []
    return some[:_NAMED] + more
