"""What every engine promises, one mixin for each seam; fakes and real engines inherit them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from pydantic import TypeAdapter

from dubarr_watch.engines.base import (
    EMPTY_FILM,
    AnalysisRequest,
    CorrectionRequest,
    Diarizer,
    EngineSpec,
    FilmContext,
    Separator,
    ShortenRequest,
    SourceText,
    Span,
    SpokenText,
    Synthesizer,
    Transcriber,
    TranslationRequest,
    Translator,
)
from dubarr_watch.engines.host import EngineHost
from dubarr_watch.engines.texts import Character
from dubarr_watch.errors import MediaError, SynthesisFailed
from dubarr_watch.settings import load_settings

SENTENCES = (
    "Welcome back to the workshop, everyone.",
    "I can't. My boss wants the report by nine o'clock.",
    "Nobody has seen him since.",
)


class Steps:
    """Collects progress and checks it at the end."""

    def __init__(self) -> None:
        self.seen: list[tuple[float, float]] = []

    def __call__(self, done: float, total: float) -> None:
        self.seen.append((done, total))

    def check(self) -> None:
        done = [step for step, _ in self.seen]
        assert done, "no progress was reported"
        assert done == sorted(done), "progress went backwards"
        assert self.seen[-1][0] == pytest.approx(self.seen[-1][1]), "progress did not end"


class TranscriberContract:
    """Needs fixtures `transcriber`, `speech` (a 16 kHz WAV with speech) and `silence`."""

    def test_words_are_in_order_and_inside_the_audio(
        self, transcriber: Transcriber, speech: Path
    ) -> None:
        """Words come in order of start, have length, and end before the audio does."""
        found = transcriber.transcribe(speech)
        assert found.words
        assert [w.start_s for w in found.words] == sorted(w.start_s for w in found.words)
        for word in found.words:
            assert 0 <= word.start_s <= word.end_s <= found.duration_s + 0.01
            assert word.text == word.text.strip() != ""
            assert 0 <= word.probability <= 1

    def test_voice_is_disjoint_and_in_order(self, transcriber: Transcriber, speech: Path) -> None:
        """Voice spans have length, never touch, and lie inside the audio."""
        found = transcriber.transcribe(speech)
        assert found.voice
        assert all(span.duration_s > 0 for span in found.voice)
        assert all(a.end_s < b.start_s for a, b in itertools.pairwise(found.voice))
        assert found.voice[0].start_s >= 0
        assert found.voice[-1].end_s <= found.duration_s + 0.01

    def test_voice_activity_is_what_transcribing_finds(
        self, transcriber: Transcriber, speech: Path
    ) -> None:
        """Both calls use the same detector."""
        assert tuple(transcriber.voice_activity(speech)) == transcriber.transcribe(speech).voice

    def test_every_word_is_near_voice(self, transcriber: Transcriber, speech: Path) -> None:
        """No word is heard where there is no voice."""
        found = transcriber.transcribe(speech)
        for word in found.words:
            assert any(
                word.start_s < s.end_s + 0.5 and word.end_s > s.start_s - 0.5 for s in found.voice
            ), word

    def test_a_given_language_is_kept(self, transcriber: Transcriber, speech: Path) -> None:
        """The caller's word is taken, with certainty 1."""
        found = transcriber.transcribe(speech, language="en")
        assert (found.language, found.language_probability) == ("en", 1.0)

    def test_silence_has_neither_words_nor_voice(
        self, transcriber: Transcriber, silence: Path
    ) -> None:
        """Silence is heard as nothing at all."""
        found = transcriber.transcribe(silence)
        assert found.words == ()
        assert found.voice == ()
        assert transcriber.voice_activity(silence) == []
        assert found.duration_s == pytest.approx(soundfile.info(silence).duration)

    def test_transcribing_reports_progress(self, transcriber: Transcriber, speech: Path) -> None:
        """Progress grows to the whole duration."""
        steps = Steps()
        found = transcriber.transcribe(speech, progress=steps)
        steps.check()
        assert steps.seen[-1][1] == pytest.approx(found.duration_s)


class DiarizerContract:
    """Needs fixtures `diarizer`, `speech` and `speech_voice` (its voice activity)."""

    def test_turns_cover_the_voice_once(
        self, diarizer: Diarizer, speech: Path, speech_voice: list[Span]
    ) -> None:
        """Every moment of voice belongs to exactly one turn that is not beside another."""
        everybody = diarizer.diarize(speech, speech_voice)
        assert [t.start_s for t in everybody] == sorted(t.start_s for t in everybody)
        turns = [turn for turn in everybody if not turn.beside]
        assert all(turn.end_s > turn.start_s for turn in turns)
        assert all(a.end_s <= b.start_s + 0.002 for a, b in itertools.pairwise(turns))
        covered = sum(turn.end_s - turn.start_s for turn in turns)
        assert covered == pytest.approx(sum(s.duration_s for s in speech_voice), abs=0.05)
        assert turns[0].start_s == pytest.approx(speech_voice[0].start_s, abs=0.01)
        assert turns[-1].end_s == pytest.approx(speech_voice[-1].end_s, abs=0.01)

    def test_speakers_are_numbered_as_they_appear(
        self, diarizer: Diarizer, speech: Path, speech_voice: list[Span]
    ) -> None:
        """The first speaker is 0, the next new one 1, and none is left out."""
        speakers = [turn.speaker for turn in diarizer.diarize(speech, speech_voice)]
        assert list(dict.fromkeys(speakers)) == list(range(len(set(speakers))))

    def test_no_voice_has_no_turns(self, diarizer: Diarizer, speech: Path) -> None:
        """Where there is no voice, nobody speaks."""
        assert diarizer.diarize(speech, []) == []

    def test_diarizing_reports_progress(
        self, diarizer: Diarizer, speech: Path, speech_voice: list[Span]
    ) -> None:
        """Progress grows to the whole duration."""
        steps = Steps()
        diarizer.diarize(speech, speech_voice, progress=steps)
        steps.check()


class SeparatorContract:
    """Needs fixtures `separator` and `peak_mib`.

    `peak_mib` separates a file in a process of its own and returns the most memory that it held.
    """

    @pytest.mark.parametrize(
        ("channels", "rate", "seconds"),
        [(2, 48_000, 4.0), (1, 16_000, 1.7), (2, 44_100, 0.01), (6, 48_000, 1.9)],
    )
    def test_stems_are_as_long_as_the_mix_and_add_up_to_it(
        self, separator: Separator, tmp_path: Path, channels: int, rate: int, seconds: float
    ) -> None:
        """Both have its rate, channels and length, and their sum is it to the sample."""
        mix = noise(tmp_path / "mix.wav", seconds, channels, rate)
        stems = separator.separate(mix, tmp_path / "stems é")
        assert sorted((tmp_path / "stems é").iterdir()) == sorted([stems.voice, stems.rest])
        whole, voice, rest = (
            soundfile.read(path, dtype="int16", always_2d=True)[0].astype(int)
            for path in (mix, stems.voice, stems.rest)
        )
        assert soundfile.info(stems.voice).samplerate == rate
        assert soundfile.info(stems.rest).samplerate == rate
        assert voice.shape == rest.shape == whole.shape
        assert np.array_equal(voice + rest, whole)

    def test_separating_reports_progress(self, separator: Separator, tmp_path: Path) -> None:
        """Progress grows to the whole duration, in seconds."""
        steps = Steps()
        mix = noise(tmp_path / "mix.wav", 5.0, 2, 48_000)
        separator.separate(mix, tmp_path / "stems", progress=steps)
        steps.check()
        assert steps.seen[-1] == (5.0, 5.0)
        assert len(steps.seen) > 2

    def test_a_file_of_another_kind_is_taken(self, separator: Separator, tmp_path: Path) -> None:
        """A job's bed is FLAC."""
        mix = noise(tmp_path / "mix.flac", 1.0, 2, 48_000)
        stems = separator.separate(mix, tmp_path / "stems")
        assert soundfile.info(stems.voice).frames == 48_000

    def test_what_is_no_audio_is_refused(self, separator: Separator, tmp_path: Path) -> None:
        """The error names the file, and no stem is left."""
        path = tmp_path / "text.wav"
        path.write_text("nothing to hear")
        with pytest.raises(MediaError) as caught:
            separator.separate(path, tmp_path / "stems")
        assert caught.value.path == path
        assert list((tmp_path / "stems").glob("*")) == []

    def test_memory_does_not_grow_with_the_film(
        self, peak_mib: Callable[[Path], float], tmp_path: Path
    ) -> None:
        """75 s more are 27 MiB of floats, three times that with both stems."""
        short = peak_mib(noise(tmp_path / "short.wav", 15, 2, 48_000))
        long = peak_mib(noise(tmp_path / "long.wav", 90, 2, 48_000))
        assert long < short + 50


def measured(spec: EngineSpec, folder: Path) -> Callable[[Path], float]:
    """Return what separates a file in a new process and tells the MiB it held at most."""

    def peak_mib(mix: Path) -> float:
        host = EngineHost(load_settings(config_dir=folder / "config", mock_mode=False))
        with host.engine("separator", spec) as separator:
            separator.separate(mix, folder / "measured")
        return host.peak_rss_mib

    return peak_mib


def noise(path: Path, seconds: float, channels: int, rate: int) -> Path:
    """Write noise that comes and goes."""
    length = round(seconds * rate)
    rng = np.random.default_rng(7)
    with soundfile.SoundFile(path, "w", rate, channels, subtype="PCM_16") as file:
        for start in range(0, length, rate):
            part = rng.standard_normal((min(rate, length - start), channels))
            file.write(0.2 * part * (1 + start // rate % 2))
    return path


class TranslatorContract:
    """Needs a fixture `translator`."""

    @staticmethod
    def request(*texts: str) -> TranslationRequest:
        return TranslationRequest(
            source="en",
            target="es",
            texts=tuple(SourceText(40 + n, text, 0, 80) for n, text in enumerate(texts)),
            before=("Good evening.",),
        )

    def test_ids_come_back_with_other_words(self, translator: Translator) -> None:
        """Ids are the caller's, and no text is its own translation."""
        found = translator.translate(self.request(*SENTENCES))
        assert found
        assert set(found) <= {40, 41, 42}
        for key, text in found.items():
            assert text == " ".join(text.split()) != ""
            assert text.casefold() != SENTENCES[key - 40].casefold()

    def test_further_wordings_of_a_text_come_with_it(self, translator: Translator) -> None:
        """Each under its own id, and none in place of another text's."""
        first, other = (SourceText(n, text, 0, 80) for n, text in enumerate(SENTENCES[:2]))
        shorter = [replace(first, id=10 * n, max_chars=80 - 15 * n, shorter=n) for n in (1, 2)]
        found = translator.translate(TranslationRequest("en", "es", (first, *shorter, other)))
        assert {0, 1} <= set(found) <= {0, 1, 10, 20}
        assert found[1] not in {text for key, text in found.items() if key != 1}

    def test_nothing_asked_is_nothing_answered(self, translator: Translator) -> None:
        """An empty batch has an empty answer."""
        assert translator.translate(self.request()) == {}
        assert translator.shorten("es", ()) == {}

    def test_shortened_texts_are_shorter(self, translator: Translator) -> None:
        """What comes back is always shorter than what went in: one to three, longest first."""
        long = "Hoy vamos a ver, con mucha calma, cómo un motor convierte aire en movimiento."
        found = translator.shorten("es", (ShortenRequest(7, "Today we look.", long, 40),))
        assert set(found) <= {7}
        for wordings in found.values():
            assert 1 <= len(wordings) <= 3
            assert all(0 < len(text) < len(long) for text in wordings)
            assert list(wordings) == sorted(wordings, key=len, reverse=True)

    def test_translating_reports_progress_in_lines(self, translator: Translator) -> None:
        """Progress counts texts."""
        steps = Steps()
        translator.translate(self.request(*SENTENCES), progress=steps)
        steps.check()
        assert steps.seen[-1] == (3, 3)

    def test_texts_around_a_batch_are_context_alone(self, translator: Translator) -> None:
        """Nothing comes back for what is said before and after."""
        film = FilmContext("Two people in a workshop.", (Character("Ann", speaker=0),))
        request = replace(self.request(SENTENCES[0]), after=(SENTENCES[1],), film=film)
        assert set(translator.translate(request)) <= {40}

    def test_a_film_is_told_in_its_own_words(self, translator: Translator) -> None:
        """Speakers and terms are the film's, and what is known survives a checkpoint."""
        texts = tuple(SpokenText(n, text, n % 2) for n, text in enumerate(SENTENCES))
        steps = Steps()
        film = translator.analyse(AnalysisRequest("en", "es", texts), progress=steps)
        steps.check()
        assert {one.speaker for one in film.characters} <= {0, 1, None}
        said = " ".join(SENTENCES).casefold()
        assert all(term.source.casefold() in said and term.target for term in film.glossary)
        kept = TypeAdapter(FilmContext)
        assert kept.validate_json(kept.dump_json(film)) == film

    def test_an_empty_film_has_nothing_to_know(self, translator: Translator) -> None:
        """Without words there is no film and nothing to correct."""
        assert translator.analyse(AnalysisRequest("en", "es", ())) == EMPTY_FILM
        assert translator.correct(CorrectionRequest("en", ())) == {}

    def test_a_correction_is_of_heard_or_written_words(self, translator: Translator) -> None:
        """Only texts with a reference change, and no word is invented."""
        heard = (
            SpokenText(3, "Welcome back to the work shop, every one.", 0, SENTENCES[0]),
            SpokenText(4, "Nobody has scene him since.", 0),
        )
        steps = Steps()
        found = translator.correct(CorrectionRequest("en", heard), progress=steps)
        steps.check()
        assert set(found) <= {3}
        known = set(re.findall(r"\w+", f"{heard[0].text} {heard[0].reference}".casefold()))
        for text in found.values():
            assert text != heard[0].text
            assert set(re.findall(r"\w+", text.casefold())) <= known

    def test_what_it_cost_adds_up(self, translator: Translator) -> None:
        """Nothing is counted backwards."""
        before = translator.usage()
        translator.translate(self.request(*SENTENCES))
        after = translator.usage()
        assert after.requests >= before.requests
        assert after.tokens_in >= before.tokens_in
        assert after.tokens_out >= before.tokens_out


class SynthesizerContract:
    """Needs a fixture `synthesizer`."""

    def test_a_take_is_mono_pcm_as_long_as_it_says(
        self, synthesizer: Synthesizer, tmp_path: Path
    ) -> None:
        """The file at the target is what the answer describes."""
        voice = synthesizer.voices("es")[0]
        target = tmp_path / "take é.wav"
        speech = synthesizer.synthesize(
            "Hola, ¿qué tal?", language="es", voice=voice.id, speed=1.0, target=target
        )
        info = soundfile.info(target)
        assert speech.path == target
        assert (info.channels, info.format, info.subtype) == (1, "WAV", "PCM_16")
        assert info.samplerate == speech.sample_rate
        assert info.duration == pytest.approx(speech.duration_s, abs=0.001)
        assert info.duration > 0.2

    def test_speed_shortens_a_take(self, synthesizer: Synthesizer, tmp_path: Path) -> None:
        """A take at 1.25 is shorter than at 1.0."""
        voice = synthesizer.voices("es")[0].id
        text = "Esta es una frase lo bastante larga para medir su duración."
        slow = synthesizer.synthesize(
            text, language="es", voice=voice, speed=1.0, target=tmp_path / "slow.wav"
        )
        fast = synthesizer.synthesize(
            text, language="es", voice=voice, speed=1.25, target=tmp_path / "fast.wav"
        )
        assert fast.duration_s < 0.9 * slow.duration_s

    def test_voices_are_of_the_language_and_best_first(self, synthesizer: Synthesizer) -> None:
        """Voices have unique ids, and both registers are there."""
        voices = synthesizer.voices("es")
        assert {voice.language for voice in voices} == {"es"}
        assert len({voice.id for voice in voices}) == len(voices)
        assert {voice.gender for voice in voices} == {"female", "male"}
        assert all(0 <= voice.quality <= 1 for voice in voices)

    def test_an_empty_text_is_refused(self, synthesizer: Synthesizer, tmp_path: Path) -> None:
        """There is nothing to say, and no file is left."""
        voice = synthesizer.voices("es")[0].id
        with pytest.raises(SynthesisFailed):
            synthesizer.synthesize(
                "  ", language="es", voice=voice, speed=1.0, target=tmp_path / "none.wav"
            )
        assert list(tmp_path.iterdir()) == []

    def test_an_unknown_voice_is_refused(self, synthesizer: Synthesizer, tmp_path: Path) -> None:
        """The caller hears of it; no other voice steps in."""
        with pytest.raises(SynthesisFailed):
            synthesizer.synthesize(
                "Hola.", language="es", voice="nobody", speed=1.0, target=tmp_path / "none.wav"
            )
