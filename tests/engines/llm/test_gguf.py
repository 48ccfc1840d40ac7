"""What a file's header says, and the memory that is asked for it."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from dubarr_watch.engines.llm.gguf import GgufModel, read_gguf
from dubarr_watch.engines.llm.local import UNKNOWN_MIB, LocalModel, local_spec
from dubarr_watch.errors import EngineError, ModelMissing
from tests.tiny.gguf import CONTEXT, KV_HEADS, LAYERS, build_gguf

# As the file of Gemma 3 12B Q4_K_M says.
GEMMA = GgufModel("gemma3", 7_300_777_984, (8,) * 48, 512, 131_072, 1024)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_gguf(tmp_path_factory.mktemp("models") / "tiny.gguf")


@pytest.fixture
def program(tmp_path: Path) -> Path:
    return tmp_path / "llama-server"


def test_a_header_is_read_as_it_was_written(tiny: Path) -> None:
    """Layers, heads and sizes come from the file, missing ones from its width."""
    assert read_gguf(tiny) == GgufModel(
        "llama", tiny.stat().st_size, (KV_HEADS,) * LAYERS, 32, CONTEXT, 0
    )


def header(*values: bytes, version: int = 3, magic: bytes = b"GGUF") -> bytes:
    return magic + struct.pack("<IQQ", version, 0, len(values)) + b"".join(values)


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def entry(key: str, kind: int, raw: bytes) -> bytes:
    return text(key) + struct.pack("<I", kind) + raw


def number(key: str, value: int) -> bytes:
    return entry(key, 4, struct.pack("<I", value))


def array(key: str, kind: int, values: list[bytes]) -> bytes:
    return entry(key, 9, struct.pack("<IQ", kind, len(values)) + b"".join(values))


USUAL = (
    entry("general.architecture", 8, text("odd")),
    number("odd.block_count", 3),
    number("odd.context_length", 512),
    number("odd.embedding_length", 64),
    number("odd.attention.head_count", 4),
)


def test_heads_may_differ_from_layer_to_layer(tmp_path: Path) -> None:
    """A list of heads is read as one, whatever comes between."""
    file = tmp_path / "odd.gguf"
    heads = array("odd.attention.head_count_kv", 4, [struct.pack("<I", n) for n in (4, 0, 2)])
    names = array("general.tags", 8, [text("a"), text("b")])
    many = array("odd.many", 6, [struct.pack("<f", 0.5)] * 5000)
    file.write_bytes(header(names, many, *USUAL, heads))
    found = read_gguf(file)
    assert found.kv_heads == (4, 0, 2)
    assert found.head_dims == 32


def test_without_heads_of_their_own_keys_have_all(tmp_path: Path) -> None:
    """The usual attention has as many heads of keys as of queries."""
    file = tmp_path / "odd.gguf"
    file.write_bytes(header(*USUAL))
    assert read_gguf(file).kv_heads == (4, 4, 4)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"GGUF",
        header(*USUAL, magic=b"GGML"),
        header(*USUAL, version=1),
        header(*USUAL)[:-30],
        header(*USUAL[1:]),
        header(*USUAL[:3]),
        header(entry("general.architecture", 8, struct.pack("<Q", 2**40) + b"x")),
        header(entry("x", 77, b"")),
        header(array("x", 9, [])),
        b"GGUF" + struct.pack("<IQQ", 3, 0, 2**60),
        header(USUAL[0], number("odd.block_count", 2**31), *USUAL[2:]),
        header(*USUAL[:4], number("odd.attention.head_count", 0)),
    ],
)
def test_what_is_no_model_says_so(tmp_path: Path, raw: bytes) -> None:
    """Damaged and foreign files end in one clear error, and none takes the memory with it."""
    file = tmp_path / "broken.gguf"
    file.write_bytes(raw)
    with pytest.raises(EngineError, match="no GGUF file") as raised:
        read_gguf(file)
    assert raised.value.path == file


def test_a_file_that_is_not_there_can_be_pulled(tmp_path: Path) -> None:
    """The message says how."""
    with pytest.raises(ModelMissing, match="models pull"):
        read_gguf(tmp_path / "none.gguf")


def test_gemma_takes_about_ten_gigabytes() -> None:
    """Its local layers keep a window only; the others the whole context."""
    assert 8_800 < GEMMA.mib(1, 8192) < 9_500
    assert 10_000 < GEMMA.mib(4, 8192) < 11_000


def test_memory_is_weights_cache_and_a_margin() -> None:
    """2 bytes x layers x heads x (key + value) for each token."""
    model = GgufModel("llama", 1000 << 20, (8,) * 32, 256, 4096, 0)
    assert model.mib(4, 8192) == 1000 + 32 * 8 * 256 * 2 * 8192 // 2**20 + 1024


class TestSlots:
    def test_four_where_they_fit(self, tiny: Path, program: Path) -> None:
        """With room for all, the context is shared by four."""
        spec = local_spec(LocalModel(tiny, program=program), threads=2, most_mib=24_000)
        assert (spec.options["slots"], spec.options["tokens"]) == (4, 8192)
        assert spec.need is not None
        assert spec.need.mib == read_gguf(tiny).mib(4, 8192)
        assert spec.owns_process

    def test_fewer_where_they_do_not(
        self, tiny: Path, program: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Each slot keeps its share of the context; there are only fewer of them."""
        monkeypatch.setattr("dubarr_watch.engines.llm.local.read_gguf", lambda path: GEMMA)
        exact = GEMMA.mib(2, 4096)
        for room, slots in ((exact, 2), (exact - 1, 1), (100, 1), (GEMMA.mib(4, 8192), 4)):
            spec = local_spec(LocalModel(tiny, program=program), threads=2, most_mib=room)
            assert (spec.options["slots"], spec.options["tokens"]) == (slots, slots * 2048)
            assert spec.need is not None
            assert spec.need.mib == GEMMA.mib(slots, slots * 2048)

    def test_as_many_as_the_user_says(self, tiny: Path, program: Path) -> None:
        """But none so small that a line and its answer do not fit."""
        model = LocalModel(tiny, slots=8, context=16_384, program=program)
        assert local_spec(model, threads=2, most_mib=24_000).options["slots"] == 8
        model = LocalModel(tiny, slots=8, context=4096, program=program)
        assert local_spec(model, threads=2, most_mib=24_000).options["slots"] == 2

    def test_the_users_figure_is_taken(self, tiny: Path, program: Path) -> None:
        """A lease is then of that size."""
        spec = local_spec(LocalModel(tiny, program=program), threads=2, most_mib=24_000, mib=5000)
        assert spec.need is not None
        assert spec.need.mib == 5000

    def test_without_a_gpu_none_is_asked_for(self, tiny: Path, program: Path) -> None:
        """It takes its turn on the CPU."""
        assert local_spec(LocalModel(tiny, program=program), threads=2).need is None

    def test_without_the_program_there_is_no_gpu(
        self, tiny: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The library only computes on the CPU."""
        monkeypatch.setenv("PATH", "")
        assert local_spec(LocalModel(tiny), threads=2, most_mib=24_000).need is None

    def test_a_file_that_is_not_pulled_yet_is_planned_for(self, program: Path) -> None:
        """The plan knows what the default model takes before it is there."""
        model = LocalModel(Path("/nowhere/gemma.gguf"), program=program)
        spec = local_spec(model, threads=2, most_mib=24_000)
        assert spec.need is not None
        assert spec.need.mib == UNKNOWN_MIB
