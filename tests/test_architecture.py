"""The rules of the house, held against every import: README's floors, and who may do what."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "dubarr_watch"
MODULES = sorted(PACKAGE.rglob("*.py"))
SIDECAR = sorted(p for p in (ROOT / "tts_sidecar").rglob("*.py") if ".venv" not in p.parts)
LONGEST_MODULE_LINES = 330

# Who may import what nobody else does; a folder stands for all that is in it.
MAY_IMPORT = {
    "subprocess": {"media", "engines/process.py", "engines/catalog/packages.py", "demo/stage.py"},
    "multiprocessing": {"engines"},
    "ffmpeg": {"media"},
    "peewee": {"store"},
    "psycopg": {"store"},
    "sqlite3": {"store", "doctor/machine.py"},  # the doctor tells its version
}


def floors() -> dict[str, int]:
    """Return the floor of each top-level module, as README's picture of the house has it."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    picture = readme.partition("## Architecture")[2].split("```")[1]
    found: dict[str, int] = {}
    floor = -1
    for line in picture.strip().splitlines():
        number, names = re.fullmatch(r"(\d?) +((?:\w+(?:/|\.py) *)+).*", line).groups()  # type: ignore[union-attr]
        floor = int(number) if number else floor
        found |= {re.sub(r"/|\.py", "", name): floor for name in names.split()}
    return found


def top(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def named(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), path)


def imports(path: Path) -> Iterator[str]:
    """Yield the full name of each module that a file imports."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def roots(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imports(path)}


def rooms_used(path: Path) -> set[str]:
    """Return the other top-level modules of the package that a file imports."""
    names = (name.split(".") for name in imports(path))
    used = {parts[1] for parts in names if parts[0] == PACKAGE.name and len(parts) > 1}
    return used - {top(path), "__version__"}


FLOORS = floors()


def test_readme_names_every_room() -> None:
    """The picture of the house shows what is there, all of it, and nothing else."""
    there = {top(path) for path in MODULES} - {"__init__", "__main__"}
    assert set(FLOORS) == there


def test_no_room_imports_an_upper_floor() -> None:
    """Upper floors import lower ones, never the other way."""
    attic = max(FLOORS.values())
    wrong = [
        (named(path), room)
        for path in MODULES
        for room in rooms_used(path)
        if FLOORS[room] > FLOORS.get(top(path), attic)
    ]
    assert wrong == []


def test_each_room_does_what_is_its_to_do() -> None:
    """Only media starts ffmpeg, only engines start model processes, only store talks SQL."""
    wrong = [
        (named(path), name)
        for path in MODULES
        for name in roots(path) & set(MAY_IMPORT)
        if not {named(path), *map(str, Path(named(path)).parents)} & MAY_IMPORT[name]
    ]
    assert wrong == []


def test_only_settings_read_the_environment() -> None:
    """Whoever else needs a value is handed it."""
    reading = {"environ", "environb", "getenv", "getenvb"}
    used = {
        named(path): {node.attr for node in ast.walk(tree(path)) if isinstance(node, ast.Attribute)}
        | {name.removeprefix("os.") for name in imports(path)}
        for path in MODULES
        if top(path) != "settings"
    }
    assert [name for name, attributes in used.items() if attributes & reading] == []


def test_no_module_is_too_long() -> None:
    """A longer one asks to be two."""
    lengths = {named(path): len(path.read_text("utf-8").splitlines()) for path in MODULES}
    assert {n: lines for n, lines in lengths.items() if lines > LONGEST_MODULE_LINES} == {}


def test_no_two_rooms_need_each_other() -> None:
    """Rooms of one floor may know each other, but in one direction."""
    graph: dict[str, set[str]] = {}
    for path in MODULES:
        graph.setdefault(top(path), set()).update(rooms_used(path))
    TopologicalSorter(graph).prepare()


def test_the_speech_process_is_a_project_of_its_own() -> None:
    """It shares no code with the daemon: they speak over HTTP."""
    assert SIDECAR
    assert set().union(*map(roots, SIDECAR)).isdisjoint({PACKAGE.name})
    assert set().union(*map(roots, MODULES)).isdisjoint({"tts_sidecar"})


def test_no_shell_is_ever_asked() -> None:
    """Programs are started by lists of arguments: no name of a file is ever a command."""
    shells = {"os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput",
              "asyncio.create_subprocess_shell", "pty.spawn"}  # fmt: skip
    wrong = []
    for path in [*MODULES, *SIDECAR]:
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Call):
                if ast.unparse(node.func) in shells:
                    wrong.append((path.name, node.lineno))
                wrong += [
                    (path.name, node.lineno)
                    for word in node.keywords
                    if word.arg == "shell" and ast.unparse(word.value) != "False"
                ]
    assert wrong == []


def test_each_input_of_ffmpeg_is_named_in_one_place() -> None:
    """Nobody writes `-i` by hand, but for pictures and sounds that ffmpeg itself makes."""
    by_hand = [
        named(path)
        for path in MODULES
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Constant) and node.value == "-i"
    ]
    assert sorted(set(by_hand)) == ["demo/clip.py", "dubbing/encoding.py", "media/arguments.py"]


def test_no_model_is_unpickled() -> None:
    """What a file of weights says is never run: weights only, and no library that unpickles."""
    unsafe = {"pickle", "cPickle", "dill", "joblib", "cloudpickle", "shelve", "marshal"}
    wrong: list[tuple[str, object]] = []
    for path in [*MODULES, *SIDECAR]:
        wrong += [(path.name, name) for name in roots(path) & unsafe]
        for node in ast.walk(tree(path)):
            if not isinstance(node, ast.Call):
                continue
            named_ = {word.arg: ast.unparse(word.value) for word in node.keywords}
            called = ast.unparse(node.func)
            if called == "torch.load" and named_.get("weights_only") != "True":
                wrong.append((path.name, node.lineno))
            if called == "np.load" and named_.get("allow_pickle", "False") != "False":
                wrong.append((path.name, node.lineno))
    assert wrong == []
