"""Speakers become people: the stage between understanding a video and casting it."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import soundfile

from dubarr_watch.dubbing.cast_file import CastFile, find_cast_file, read_cast_file
from dubarr_watch.dubbing.dub import Understood
from dubarr_watch.dubbing.people import Person, heard_around, recognise
from dubarr_watch.dubbing.pins import Meant, Pin, Recognised, pin_people, sample_prints
from dubarr_watch.dubbing.references import Reference
from dubarr_watch.dubbing.workspace import JobControl, Workspace, content_key
from dubarr_watch.engines.base import EngineSpec
from dubarr_watch.engines.host import EngineHost
from dubarr_watch.engines.registry import EngineSpecs
from dubarr_watch.engines.voice_prints import Print
from dubarr_watch.library.confines import Confines
from dubarr_watch.library.naming import fingerprint
from dubarr_watch.settings import Settings
from dubarr_watch.store.records import VideoRecord
from dubarr_watch.store.store import Store


@dataclass(frozen=True, slots=True)
class Recognition:
    """Knows the speakers of one video again.

    Attributes:
        settings: Where the library is, and where clips of people are kept.
        store: Who was heard before.
        specs: Which engines.
        video: The video.
        work: The job's work folder.
        host: Runs what listens to samples.
        control: Cancel, stall and priority.
    """

    settings: Settings
    store: Store
    specs: EngineSpecs
    video: VideoRecord
    work: Workspace
    host: EngineHost
    control: JobControl

    def of(self, known: Understood) -> Understood:
        """Return a video with its speakers known, and with the clips that are kept of them."""
        if not known.lines:
            return known
        root = self.settings.videos_dir.absolute()
        path = find_cast_file(self.video.path, root)
        file = read_cast_file(path, root) if path is not None else None
        named = {str(p): _content(p) for entry in (file.entries if file else ())
                 for p in (entry.sample, entry.reference) if p is not None}  # fmt: skip
        model = heard_by(self.specs.printer) if self.specs.printer else ""
        recognised = self.work.stage(
            "people", "", content_key(known.key, known.voices, model, file, named),
            Recognised, lambda: self._recognised(known, model, file, root),
        )  # fmt: skip
        references = known.references
        if self.specs.clones:
            references = self._with_kept_clips(recognised.people, references)
        return replace(
            known,
            recognised=recognised,
            references=_with_pinned(references, recognised.pins),
            notes=[*known.notes, *recognised.problems],
        )

    def _recognised(
        self, known: Understood, model: str, file: CastFile | None, root: Path
    ) -> Recognised:
        people, around = recognise(self.store, self.video, root, known.voices, model)
        if file is None:
            return Recognised(people, around)
        folder = self.work.folder / "references"
        count = len({line.speaker for line in known.lines})
        meant = Meant(
            self.video,
            root,
            known.voices,
            people,
            heard_around(self.store, self.video, root, model),
            self.store.people.ids(),
            count,
        )
        samples = sample_prints(file.entries, folder, self._listen, Confines(root).opened)
        pins, problems = pin_people(file.entries, meant, samples, folder)
        return Recognised(people, around, pins, [*file.problems, *problems])

    def _listen(self, recordings: Sequence[Path]) -> list[Print]:
        if self.specs.printer is None:
            return [() for _ in recordings]
        with self.host.engine("printer", self.specs.printer, **self.control.watch) as printer:
            return printer.prints(recordings)

    def _with_kept_clips(
        self, people: Sequence[Person], references: Sequence[Reference]
    ) -> list[Reference]:
        """Give each person the clip that their voice was first cloned from; keep new ones."""
        folder = self.settings.config_dir / "voices"
        folder.mkdir(exist_ok=True)
        _remove_clips_of_nobody(folder, self.store)
        found = list(references)
        for one in people:
            if one.person is None:
                continue
            clip = folder / f"{one.person}.wav"
            best = next((r for r in found if r.line is None and r.speaker == one.speaker), None)
            if best is not None and best.usable:
                _keep(best.path, clip)
            if clip.is_file():
                kept = _at_hand(clip, self.work.folder / "references", one.speaker)
                found = [r for r in found if r is not best] + [kept]
        return found


def heard_by(spec: EngineSpec) -> str:
    """Return what hears voices; prints of two cannot be compared."""
    return f"{spec.target.rpartition(':')[2]} {Path(str(spec.options.get('model', ''))).name}"


def _with_pinned(references: Sequence[Reference], pins: Sequence[Pin]) -> list[Reference]:
    """Let those whom a cast file gives a recording sound like it in every line."""
    pinned = {pin.speaker: pin.reference for pin in pins if pin.reference is not None}
    return [r for r in references if r.speaker not in pinned] + [
        _reference(path, speaker) for speaker, path in pinned.items()
    ]


def _content(path: Path) -> str:
    try:
        return fingerprint(path)
    except OSError:
        return ""  # it is gone since: whoever reads it will say so


def _reference(path: Path, speaker: int) -> Reference:
    return Reference(speaker, None, path, round(float(soundfile.info(path).duration), 3), True)


def _keep(source: Path, clip: Path) -> None:
    """Keep a recording unless one is kept already: of two at once, the first."""
    half = clip.with_name(f".{clip.name}.{os.getpid()}.{source.stem}.part")
    shutil.copyfile(source, half)
    try:
        os.link(half, clip)
    except FileExistsError:
        pass
    except OSError:  # a file system without links
        if not clip.exists():
            half.replace(clip)
    finally:
        half.unlink(missing_ok=True)


def _at_hand(clip: Path, folder: Path, speaker: int) -> Reference:
    """Copy a clip into the job's folder, named by its content as takes remember it."""
    content = clip.read_bytes()
    path = folder / f"{hashlib.sha256(content).hexdigest()[:24]}.wav"
    if not path.exists():
        half = path.with_suffix(".part")
        half.write_bytes(content)
        half.replace(path)
    return _reference(path, speaker)


def _remove_clips_of_nobody(folder: Path, store: Store) -> None:
    clips = list(folder.glob("[0-9]*.wav"))
    known = store.people.ids()  # read after: whoever has a clip was known before it was made
    for clip in clips:
        if clip.stem.isdecimal() and int(clip.stem) not in known:
            clip.unlink(missing_ok=True)
