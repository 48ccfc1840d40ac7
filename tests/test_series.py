"""People through a series: the composed program on fakes that tell voices by their pitch."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dubarr_watch.dubbing.report import Report
from dubarr_watch.dubbing.speaker_report import SpeakerReport
from dubarr_watch.engines.base import EngineSpec
from dubarr_watch.errors import EngineCrashed
from dubarr_watch.runner import Ended
from dubarr_watch.store.records import JobState
from tests.composing import Shop, ffmpeg, open_shop

ANNA_HZ, BELLA_HZ, CLARA_HZ = 200.0, 283.0, 500.0
"""Half an octave apart or more, and all women's: only what they sound like tells them apart."""


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with open_shop(tmp_path) as opened:
        yield opened


def talk(path: Path, first_hz: float, other_hz: float, seconds: float = 20.0) -> Path:
    """Make a video in which two voices take turns: a line in 3.2 s, to the fakes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sound = f"if(lt(mod(t,6.4),3.2),sin(2*PI*{first_hz}*t),sin(2*PI*{other_hz}*t))*0.3"
    ffmpeg("-f", "lavfi", "-i", f"testsrc2=s=64x48:r=5:d={seconds}",
           "-f", "lavfi", "-i", f"aevalsrc='{sound}':s=48000:d={seconds}",
           "-c:v", "mpeg4", "-c:a", "aac", f"file:{path}")  # fmt: skip
    return path


def report(ended: Ended, language: int = 0) -> Report:
    assert ended.result is not None
    found = ended.result.languages[language].report
    assert found is not None
    return found


def cast(ended: Ended, language: int = 0) -> list[SpeakerReport]:
    return report(ended, language).summary.cast


def voices(ended: Ended, language: int = 0) -> list[str]:
    return [one.voice for one in cast(ended, language)]


class TestVoices:
    def test_people_keep_their_voices_from_episode_to_episode_in_each_language(
        self, shop: Shop
    ) -> None:
        first = shop.dub(talk(shop.videos / "Show/S01E01.mkv", ANNA_HZ, BELLA_HZ), "es", "fr")
        second = shop.dub(talk(shop.videos / "Show/S01E02.mkv", BELLA_HZ, ANNA_HZ), "es", "fr")
        other = shop.dub(talk(shop.videos / "Other/S01E01.mkv", BELLA_HZ, ANNA_HZ), "es")
        for language, code in enumerate(("es", "fr")):
            assert voices(first, language) == [f"fake_{code}_anna", f"fake_{code}_cleo"]
            assert voices(second, language) == voices(first, language)[::-1]
        assert voices(other) == voices(first), "who speaks most chooses first, in a new series"
        assert [one.person for one in cast(second)] == [one.person for one in cast(first)][::-1]
        said = report(second).summary.speakers_told
        assert said == "2 speakers, sure"

    def test_a_film_that_is_dubbed_again_keeps_them_too(self, shop: Shop) -> None:
        film = talk(shop.videos / "Film.mkv", ANNA_HZ, BELLA_HZ)
        first = shop.dub(film)
        again = shop.dub(film, again=True)
        assert cast(again) == cast(first)
        assert len(shop.store.people.appearances("FakePrinter ")) == 2, "it counts once"

    def test_who_is_forgotten_is_cast_anew(self, shop: Shop) -> None:
        first = shop.dub(talk(shop.videos / "Show/S01E01.mkv", ANNA_HZ, BELLA_HZ))
        shop.store.jobs.forget(first.job.id)
        assert shop.store.people.ids() == set()
        second = shop.dub(talk(shop.videos / "Show/S01E02.mkv", BELLA_HZ, ANNA_HZ))
        assert voices(second) == voices(first)

    def test_two_episodes_at_once_share_their_people(self, shop: Shop) -> None:
        episodes = [
            talk(shop.videos / f"Show/S01E0{n}.mkv", *pitches)
            for n, pitches in enumerate([(ANNA_HZ, BELLA_HZ), (BELLA_HZ, ANNA_HZ)], 1)
        ]
        jobs = [shop.enqueue(path) for path in episodes]
        ended: dict[int, Ended] = {}

        def run(n: int) -> None:
            ended[n] = shop.run(jobs[n])

        threads = [threading.Thread(target=run, args=(n,)) for n in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=120)
        assert voices(ended[1]) == voices(ended[0])[::-1]
        assert len(shop.store.people.ids()) == 2


class TestClips:
    def test_the_recording_that_a_voice_was_cloned_from_follows_the_person(
        self, shop: Shop
    ) -> None:
        said = shop.settings.config_dir / "said"
        spec = EngineSpec("tests.full_fakes:CloningSynthesizer", {"said": said})
        shop.specs = replace(shop.specs, synthesizer=spec, clones=True)
        first = shop.dub(pulsed(shop.videos / "Show/S01E01.mkv", ANNA_HZ, BELLA_HZ))
        clips = {int(path.stem): path.read_bytes()
                 for path in (shop.settings.config_dir / "voices").glob("*.wav")}  # fmt: skip
        assert set(clips) == {one.person for one in cast(first)}
        assert voices(first) == ["clone", "clone"]
        said.unlink()
        second = shop.dub(pulsed(shop.videos / "Show/S01E02.mkv", BELLA_HZ, ANNA_HZ))
        folder = shop.work(second.job) / "references"
        given = {folder / name for line in said.read_text().splitlines()
                 for name in line.split()[2:]}  # fmt: skip
        assert {path.read_bytes() for path in given} >= set(clips.values())
        shop.store.jobs.forget(first.job.id)
        shop.store.jobs.forget(second.job.id)
        shop.dub(pulsed(shop.videos / "Film.mkv", CLARA_HZ, CLARA_HZ))
        left = {int(path.stem) for path in (shop.settings.config_dir / "voices").glob("*.wav")}
        assert not left & set(clips), "nobody's clip is kept for nobody"


def pulsed(path: Path, first_hz: float, other_hz: float) -> Path:
    """Make a talk with pauses within its words, as clean recordings of people have."""
    made = talk(path, first_hz, other_hz)
    quiet = path.with_name("quiet.mkv")
    ffmpeg("-i", f"file:{made}", "-af", "volume='if(lt(mod(t,0.25),0.06),0.01,1)':eval=frame",
           "-c:v", "copy", "-c:a", "aac", f"file:{quiet}")  # fmt: skip
    shutil.move(quiet, made)
    return made


class TestCastFile:
    def test_it_is_followed_when_a_series_is_dubbed_again(self, shop: Shop) -> None:
        episode = talk(shop.videos / "Show/Season 1/S01E01.mkv", ANNA_HZ, BELLA_HZ)
        shop.dub(episode)
        (shop.videos / "Show" / "cast.toml").write_text(
            '[[person]]\nname = "Bella"\nmatch = "speaker 2 of S01E01"\nvoice = "fake_es_dave"\n'
        )
        again = shop.dub(episode, again=True)
        assert again.job.state is JobState.DONE
        assert [(one.name, one.voice) for one in cast(again)] == [
            ("", "fake_es_anna"), ("Bella", "fake_es_dave"),
        ]  # fmt: skip
        next_one = shop.dub(talk(shop.videos / "Show/Season 1/S01E02.mkv", BELLA_HZ, CLARA_HZ))
        assert (cast(next_one)[0].name, cast(next_one)[0].voice) == ("Bella", "fake_es_dave")
        (shop.videos / "Show" / "cast.toml").unlink()
        assert voices(shop.dub(episode, again=True)) == ["fake_es_anna", "fake_es_cleo"]

    def test_a_changed_one_is_followed_by_a_job_that_goes_on(self, shop: Shop) -> None:
        """Only the takes of whom it is about are made anew."""
        film = talk(shop.videos / "Film.mkv", ANNA_HZ, BELLA_HZ)
        shop.specs = replace(
            shop.specs, transcriber=EngineSpec("dubarr_watch.engines.fakes:FakeTranscriber")
        )
        job = shop.enqueue(film)

        def crash(call: object) -> None:
            if getattr(call, "method", "") == "voice_activity" and not (film.parent / "c").exists():
                (film.parent / "c").touch()
                (film.parent / "cast.toml").write_text(
                    '[[person]]\nname = "A"\nmatch = "speaker 1"\nvoice = "fake_es_bert"\n'
                )
                raise OSError("the power went")

        shop.spy.before = crash
        shop.run(job)
        before = len(shop.spy.calls)
        job = shop.store.jobs.get(job.id)
        if job.state.ended:
            shop.store.jobs.retry(job.id)
        ended = shop.run(job)
        assert voices(ended) == ["fake_es_bert", "fake_es_cleo"]
        again = {index for _, index in shop.spy.spoken(before)}
        assert again == {line.index for line in report(ended).lines if line.speaker == 0}

    def test_a_sample_finds_its_person_whoever_speaks_first(self, shop: Shop) -> None:
        folder = shop.videos / "Show"
        folder.mkdir()
        ffmpeg("-f", "lavfi", "-i", f"sine=frequency={BELLA_HZ}:duration=6", folder / "b.flac")
        (folder / "cast.toml").write_text(
            '[[person]]\nname = "Bella"\nsample = "b.flac"\nvoice = "fake_es_dave"\n'
        )
        for n, pitches in enumerate([(ANNA_HZ, BELLA_HZ), (BELLA_HZ, ANNA_HZ)]):
            ended = shop.dub(talk(folder / f"S01E0{n + 1}.mkv", *pitches))
            assert [one.name for one in cast(ended)] == (["", "Bella"] if n == 0 else ["Bella", ""])
            assert ended.job.state is JobState.DONE
        absent = shop.dub(talk(folder / "S01E03.mkv", ANNA_HZ, CLARA_HZ))
        assert absent.job.state is JobState.DONE, "who is not in an episode is no mistake"
        assert [one.name for one in cast(absent)] == ["", ""]

    def test_samples_that_change_places_are_listened_to_again(
        self, shop: Shop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        film = talk(shop.videos / "Film.mkv", ANNA_HZ, BELLA_HZ)
        clips = [shop.videos / name for name in ("a.flac", "b.flac")]
        for clip, pitch in zip(clips, (ANNA_HZ, BELLA_HZ), strict=True):
            ffmpeg("-f", "lavfi", "-i", f"sine=frequency={pitch}:duration=6", clip)
        (shop.videos / "cast.toml").write_text(
            "".join(f'[[person]]\nname = "{c.stem}"\nsample = "{c.name}"\n' for c in clips)
        )
        job = shop.enqueue(film)

        def crash(*_: object) -> None:
            raise EngineCrashed("It was killed.")

        with monkeypatch.context() as broken:
            broken.setattr("dubarr_watch.dubbing.delivery.Report.write", crash)
            shop.run(job)
        first, second = (clip.read_bytes() for clip in clips)
        clips[0].write_bytes(second)
        clips[1].write_bytes(first)
        assert [one.name for one in cast(shop.run(job))] == ["b", "a"]

    def test_a_gender_is_cast_for(self, shop: Shop) -> None:
        film = talk(shop.videos / "Film.mkv", ANNA_HZ, BELLA_HZ)
        (shop.videos / "cast.toml").write_text(
            '[[person]]\nname = "A"\nmatch = "speaker 1"\ngender = "male"\n'
        )
        assert voices(shop.dub(film)) == ["fake_es_bert", "fake_es_anna"]

    @pytest.mark.parametrize(
        ("entry", "says"),
        [
            ('match = "speaker 7"\nvoice = "fake_es_dave"', "there is no speaker 7 in it, only 2"),
            ('match = "speaker 1 of S01E01"', 'this is a film: write "speaker 1"'),
            ('match = "person 99"', "there is no person 99"),
            ('match = "speaker 1"\nvoice = "nobody"', "no voice 'nobody' for Spanish"),
            ('match = "speaker 1"\nreference = "a.wav"', "needs a voice that clones"),
            ('match = "speaker 1"\nreference = "cast.toml"', "too short or cannot be read"),
            ('sample = "cast.toml"', "too short or cannot be read"),
            ('match = "speaker 1"\nvoise = "x"', "'voise' means nothing"),
        ],
    )
    def test_what_cannot_be_had_is_told_and_the_dub_made(
        self, shop: Shop, entry: str, says: str
    ) -> None:
        film = talk(shop.videos / "Film.mkv", ANNA_HZ, BELLA_HZ)
        ffmpeg("-f", "lavfi", "-i", "sine=frequency=300:duration=4", shop.videos / "a.wav")
        (shop.videos / "cast.toml").write_text(f'[[person]]\nname = "A"\n{entry}\n')
        ended = shop.dub(film)
        assert ended.job.state is JobState.DONE_WITH_WARNINGS
        assert ended.job.reason.endswith("To check: 1 line of cast.toml not followed.")
        (note,) = [note for note in report(ended).summary.notes if "cast.toml" in note]
        assert note.startswith("cast.toml, line ")
        assert says in note
        assert shop.track(ended.job).exists()

    def test_the_command_prints_one_that_changes_nothing_until_it_is_changed(
        self, shop: Shop
    ) -> None:
        episode = talk(shop.videos / "Show/S01E01.mkv", ANNA_HZ, BELLA_HZ)
        first = shop.dub(episode)
        told = {"VIDEOS_DIR": shop.videos, "CONFIG_DIR": shop.settings.config_dir}
        printed = subprocess.run(
            [sys.executable, "-m", "dubarr_watch", "cast", str(first.job.id)],
            env=os.environ | {name: str(value) for name, value in told.items()},
            check=True, capture_output=True, text=True, timeout=60,
        ).stdout  # fmt: skip
        assert "# Voices in Spanish: fake_es_anna, fake_es_bert" in printed
        assert 'known as "person 1"' in printed
        assert 'match = "speaker 2 of S01E01"' in printed
        (shop.videos / "Show/cast.toml").write_text(printed)
        again = shop.dub(episode, again=True)
        assert again.job.state is JobState.DONE
        assert voices(again) == voices(first)
        assert [one.name for one in cast(again)] == ["Speaker 1", "Speaker 2"]


def test_a_report_can_be_read_back(shop: Shop) -> None:
    ended = shop.dub(talk(shop.videos / "Film.mkv", ANNA_HZ, BELLA_HZ))
    path = shop.settings.reports_dir / f"{ended.job.id}.es.json"
    (first, _) = json.loads(path.read_text("utf-8"))["summary"]["cast"]
    assert (first["speaker"], first["person"], first["voice"]) == (0, 1, "fake_es_anna")
    assert first["sure"] == 1.0
