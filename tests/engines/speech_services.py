"""What every speech service promises beside the seam, whatever its protocol.

A test class inherits this and has the fixtures `server` (started), `make` (makes a synthesizer
that asks it; keyword arguments go to its constructor, `cancelled` and `stall_s` to its context)
and `refusals`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile
from structlog.testing import capture_logs

from dubarr_watch.engines.base import Speech
from dubarr_watch.engines.llm.chat import Patience
from dubarr_watch.engines.speech_service import SpeechService, SpeechUsage
from dubarr_watch.errors import (
    DubarrError,
    JobCancelled,
    KeyMissing,
    ModelMissing,
    ServiceBusy,
    SynthesisFailed,
    UserMustProvide,
)
from tests.services.speech_server import CHAR_S, EDGE_S, Reply, SpeechServer, open_ended, spoken
from tests.waiting import eventually

TEXT = "Hola, ¿qué tal estás hoy?"
SENTENCES = "Uno dos tres. Cuatro cinco seis, siete ocho. Nueve diez once doce. " * 5
QUICK = Patience(attempts=4, first_wait_s=0.01, longest_wait_s=2.0)
DEADLINE_S = 20

Make = Callable[..., SpeechService]


@dataclass(frozen=True)
class Refusals:
    """How a service says what it has to say."""

    busy: Callable[[str], Reply]  # rate limit, with Retry-After
    fault: Reply
    quota: Reply
    no_access: Reply
    content: Reply
    no_model: Reply


def say(engine: SpeechService, folder: Path, text: str = TEXT, name: str = "take.wav") -> Speech:
    voice = engine.voices("es")[0].id
    return engine.synthesize(text, language="es", voice=voice, speed=1.0, target=folder / name)


class SpeechServiceTests:
    """See the module."""

    def test_a_take_has_no_silent_edges(
        self, make: Make, server: SpeechServer, tmp_path: Path
    ) -> None:
        """What the service sends around the speech is cut off, but for a breath."""
        speech = say(make(), tmp_path)
        assert speech.duration_s == pytest.approx(len(TEXT) * CHAR_S, abs=0.05)
        samples, _ = soundfile.read(speech.path)
        assert len(samples) < len(TEXT) * CHAR_S * speech.sample_rate + 0.1 * speech.sample_rate
        assert abs(samples[0]) < 1e-3
        assert not speech.suspect

    @pytest.mark.parametrize("size", [0, 0xFFFFFFFF])
    def test_a_length_left_open_is_found_out(
        self, make: Make, server: SpeechServer, tmp_path: Path, size: int
    ) -> None:
        """A WAV file whose header does not know its length is taken as far as it goes."""
        server.script = [Reply(change=lambda wav: open_ended(wav, size))]
        assert say(make(), tmp_path).duration_s == pytest.approx(len(TEXT) * CHAR_S, abs=0.05)

    def test_stereo_becomes_mono(self, make: Make, server: SpeechServer, tmp_path: Path) -> None:
        """Two channels at another rate come out as one at that rate."""

        def stereo(wav: bytes) -> bytes:
            target = tmp_path / "stereo.wav"
            tone = 0.3 * np.sin(np.arange(44_100) / 20)
            soundfile.write(target, np.stack((tone, tone / 2), axis=1), 44_100, subtype="FLOAT")
            return target.read_bytes()

        server.script = [Reply(change=stereo)]
        speech = say(make(), tmp_path)
        info = soundfile.info(speech.path)
        assert (info.channels, info.samplerate, info.subtype) == (1, 44_100, "PCM_16")

    def test_a_rate_limit_is_waited_out(
        self, make: Make, server: SpeechServer, refusals: Refusals, tmp_path: Path
    ) -> None:
        """The service says when; nothing is sent before then, by nobody."""
        server.script = [refusals.busy("0.3")]
        engine = make()
        say(engine, tmp_path)
        first, second = server.speeches
        assert second.at - first.at >= 0.3
        assert engine.usage().retries == 1

    def test_nobody_asks_while_the_service_wants_to_wait(
        self, make: Make, server: SpeechServer, refusals: Refusals, tmp_path: Path
    ) -> None:
        """A second line, begun after the refusal of the first, waits as well."""
        server.script = [refusals.busy("0.5")]
        engine = make(slots=2)
        with ThreadPoolExecutor() as pool:
            first = pool.submit(say, engine, tmp_path)
            eventually(lambda: engine.usage().retries == 1)
            say(engine, tmp_path, name="second.wav")
            first.result(DEADLINE_S)
        refused, *later = (asked.at for asked in server.speeches)
        assert len(later) == 2
        assert min(later) - refused >= 0.5

    def test_a_service_that_stays_busy_is_given_up(
        self, make: Make, server: SpeechServer, refusals: Refusals, tmp_path: Path
    ) -> None:
        """After as many attempts as patience allows the job may be tried another time."""
        server.script = [refusals.fault] * 9
        with pytest.raises(ServiceBusy, match="after 4 attempts"):
            say(make(), tmp_path)
        assert len(server.speeches) == 4
        assert list(tmp_path.iterdir()) == []

    def test_a_wait_that_is_too_long_is_not_begun(
        self, make: Make, server: SpeechServer, refusals: Refusals, tmp_path: Path
    ) -> None:
        """Asked to wait for an hour, the job ends and says so."""
        server.script = [refusals.busy("3600")]
        with pytest.raises(ServiceBusy, match="3600 s"):
            say(make(), tmp_path)
        assert len(server.speeches) == 1

    @pytest.mark.parametrize("kind", ["fault", "cut", "html", "short", "silence", "noise"])
    def test_what_cannot_be_used_is_asked_for_again(
        self, make: Make, server: SpeechServer, refusals: Refusals, tmp_path: Path, kind: str
    ) -> None:
        """A fault, half an answer, no audio, half a file or silence: the next answer counts."""
        bad: Mapping[str, Reply] = {
            "fault": refusals.fault,
            "cut": Reply(cut_body=1000),
            "html": Reply(body=b"<html>All our servers are busy.</html>" * 9),
            "short": Reply(change=lambda wav: wav[: len(wav) // 2]),
            "silence": Reply(change=lambda wav: wav[:44] + bytes(len(wav) - 44)),
            "noise": Reply(body=b"RIFF" + bytes(range(256)) * 4),
        }
        server.script = [bad[kind]]
        engine = make()
        assert say(engine, tmp_path).duration_s == pytest.approx(len(TEXT) * CHAR_S, abs=0.05)
        assert engine.usage().requests == 1
        assert engine.usage().retries == 1

    def test_no_audio_at_all_fails_the_line(
        self, make: Make, server: SpeechServer, tmp_path: Path
    ) -> None:
        """Three times nothing usable, and another voice may try."""
        server.script = [Reply(body=b"no audio")] * 3
        with pytest.raises(SynthesisFailed, match="3 times"):
            say(make(), tmp_path)
        assert list(tmp_path.iterdir()) == []

    def test_a_wrong_key_is_named(self, make: Make, tmp_path: Path) -> None:
        """The message names the variable and not the key."""
        engine = make(api_key="sk-wrong-and-secret")
        with pytest.raises(KeyMissing) as raised:
            say(engine, tmp_path)
        assert "_API_KEY" in str(raised.value)
        assert "secret" not in str(raised.value)

    def test_no_key_is_told_before_anything_is_asked(self, make: Make) -> None:
        """An empty key is no key."""
        with pytest.raises(KeyMissing, match="_API_KEY"):
            make(api_key="")

    @pytest.mark.parametrize("kind", ["quota", "no_access", "no_model"])
    def test_what_only_the_user_can_help_is_told_at_once(
        self, make: Make, server: SpeechServer, refusals: Refusals, tmp_path: Path, kind: str
    ) -> None:
        """No credit, no permission, no such model: asked once, with a way out."""
        server.script = [getattr(refusals, kind)]
        with pytest.raises(UserMustProvide) as raised:
            say(make(), tmp_path)
        assert len(server.speeches) == 1
        assert raised.value.hint
        assert isinstance(raised.value, ModelMissing) == (kind == "no_model")

    def test_refused_content_fails_the_line_alone(
        self, make: Make, server: SpeechServer, refusals: Refusals, tmp_path: Path
    ) -> None:
        """The next line is spoken; the message does not repeat the text."""
        server.script = [refusals.content]
        engine = make()
        with pytest.raises(SynthesisFailed) as raised:
            say(engine, tmp_path)
        assert "Hola" not in str(raised.value)
        assert say(engine, tmp_path).duration_s > 1

    def test_a_long_text_is_parted_at_sentences(
        self, make: Make, server: SpeechServer, tmp_path: Path
    ) -> None:
        """No piece is longer than the service takes; together they are the text, with pauses."""
        server.longest = 100  # type: ignore[attr-defined]
        speech = say(make(), tmp_path, SENTENCES)
        pieces = [
            str(asked.body.get("input") or asked.body.get("text")) for asked in server.speeches
        ]
        taken = [piece for piece in pieces if len(piece) <= 100]
        assert " ".join(taken).split() == SENTENCES.split()
        assert all(piece[-1] in ".," for piece in taken)
        assert speech.duration_s > sum(map(len, taken)) * CHAR_S + 0.2 * (len(taken) - 1)

    def test_a_service_that_refuses_every_length_fails_the_line(
        self, make: Make, server: SpeechServer, tmp_path: Path
    ) -> None:
        """A text is not parted for ever."""
        server.longest = 0  # type: ignore[attr-defined]
        with pytest.raises(SynthesisFailed, match="shortest"):
            say(make(), tmp_path, "Hola.")

    def test_a_take_far_too_long_is_suspect(
        self, make: Make, server: SpeechServer, tmp_path: Path
    ) -> None:
        """Ten seconds for two words are more than the two words."""
        server.script = [Reply(body=_tone(10.0)), Reply(body=_tone(0.8))]
        engine = make()
        assert say(engine, tmp_path, "Sí, claro.").suspect
        assert not say(engine, tmp_path, "Sí, claro.").suspect

    def test_as_many_at_a_time_as_there_are_slots(
        self, make: Make, server: SpeechServer, tmp_path: Path
    ) -> None:
        """Requests run side by side, and no more of them than slots."""
        server.busy_s = 0.05
        engine = make(slots=3)
        assert engine.slots == 3
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda n: say(engine, tmp_path, name=f"{n}.wav"), range(12)))
        assert server.most == 3
        used = engine.usage()
        assert used == SpeechUsage(12, 0, 12 * len(TEXT), used.seconds)
        assert used.seconds == pytest.approx(12 * (len(TEXT) * CHAR_S + 2 * EDGE_S))

    def test_cancelled_while_it_waits(
        self, make: Make, server: SpeechServer, refusals: Refusals, tmp_path: Path
    ) -> None:
        """A long wait ends within moments of the job's cancelling."""
        cancelled = threading.Event()
        server.script = [refusals.busy("1.9")]
        engine = make(cancelled=cancelled.is_set)
        with ThreadPoolExecutor() as pool:
            waiting = pool.submit(say, engine, tmp_path)
            eventually(lambda: engine.usage().retries == 1)
            cancelled.set()
            assert isinstance(waiting.exception(DEADLINE_S), JobCancelled)
        assert len(server.speeches) == 1

    def test_cancelled_while_the_service_thinks(
        self, make: Make, server: SpeechServer, tmp_path: Path
    ) -> None:
        """An answer that does not come is not waited for."""
        cancelled, never = threading.Event(), threading.Event()
        server.script = [Reply(wait_for=never)]

        def speak_and_end() -> None:
            with make(cancelled=cancelled.is_set) as engine:
                say(engine, tmp_path)

        with ThreadPoolExecutor() as pool:
            speaking = pool.submit(speak_and_end)
            eventually(lambda: len(server.speeches) == 1)
            cancelled.set()
            assert isinstance(speaking.exception(DEADLINE_S), JobCancelled)
        assert not never.is_set()
        never.set()

    def test_a_service_that_is_silent_is_asked_again(
        self, make: Make, server: SpeechServer, tmp_path: Path
    ) -> None:
        """A request without an answer is given up after the time for one."""
        never = threading.Event()
        server.script = [Reply(wait_for=never)]
        engine = make(stall_s=1.0)
        try:
            assert say(engine, tmp_path).duration_s > 1
        finally:
            never.set()
        assert len(server.speeches) == 2

    def test_nobody_there_is_a_busy_service(self, make: Make, tmp_path: Path) -> None:
        """An address at which nobody listens is tried as often as patience allows."""
        with pytest.raises(ServiceBusy, match="cannot be reached"):
            say(make(base_url="http://127.0.0.1:9"), tmp_path)

    def test_logs_hold_neither_key_nor_text(
        self,
        make: Make,
        server: SpeechServer,
        refusals: Refusals,
        tmp_path: Path,
        caplog: pytest.LogCaptureFixture,
        capfd: pytest.CaptureFixture[str],
    ) -> None:
        """Whatever goes wrong, in our own log lines and those that users see at LOG_LEVEL=info."""
        caplog.set_level("INFO")
        server.script = [refusals.busy("0"), Reply(body=b"junk"), refusals.content]
        engine = make()
        with capture_logs() as lines, pytest.raises(DubarrError):
            say(engine, tmp_path)
        written = f"{lines} {caplog.text} {capfd.readouterr()}"
        assert "speech" in written
        assert "Hola" not in written
        assert server.asked[-1].headers.get("xi-api-key", "Bearer").split()[-1] not in (
            word for word in written.split()
        )
        for header in ("authorization", "xi-api-key"):
            assert (
                server.asked[-1].headers.get(header, "Bearer -").split()[-1] not in written.split()
            )

    def test_a_take_is_whole_or_not_there(
        self, make: Make, server: SpeechServer, tmp_path: Path
    ) -> None:
        """Nothing but the finished file lies in the folder."""
        say(make(), tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == ["take.wav"]


def _tone(seconds: float) -> bytes:
    return spoken("x" * round(seconds / CHAR_S))
