"""Each reader of outside data reads an input or refuses it with its declared error, in bounded time.

`crashes/READER/` holds inputs on which a reader failed once: each is read again here. Add what `bench/fuzz.py`
finds; never remove one. The short run of mutated inputs is the same every time.
"""

from pathlib import Path

import pytest
from fuzz_readers import READERS, all_readers, memory_folder
from fuzzing import Crash, Reader, attempt, mutated_bytes, run

CRASHES = Path(__file__).parent / "crashes"
INPUTS, SECONDS = 150, 0.1
REGRESSIONS = sorted(CRASHES.glob("*/*"))


@pytest.fixture(scope="module")
def readers():
    with memory_folder() as folder:
        yield all_readers(Path(folder))


def test_the_list_of_readers_is_complete(readers):
    assert tuple(readers) == READERS
    assert {path.parent.name for path in REGRESSIONS} <= set(READERS)


@pytest.mark.parametrize("name", READERS)
def test_valid_inputs_are_accepted(readers, name):
    reader = readers[name]
    assert [attempt(reader, seed) for seed in reader.seeds if seed not in reader.cut] == [True] * (
        len(reader.seeds) - len(reader.cut)
    )


@pytest.mark.parametrize("name", READERS)
def test_mutated_inputs_are_read_or_refused(readers, name):
    counts = run(readers[name], SECONDS, most=INPUTS)
    assert counts.inputs
    assert {kind: crash.trace for kind, crash in counts.crashes.items()} == {}


@pytest.mark.parametrize("path", REGRESSIONS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_what_crashed_once_is_read_or_refused(readers, path):
    found = attempt(readers[path.parent.name], path.read_bytes())
    assert not isinstance(found, Crash), found.trace


def test_a_planted_fault_is_found():
    def read(raw):
        if raw != b"seed":
            raise KeyError(raw)

    counts = run(Reader("planted", (b"seed",), mutated_bytes, read, (ValueError,)), 5.0, most=50)
    assert list(counts.crashes) == ["KeyError in test"]
    hangs = Reader(
        "planted", (b"seed",), mutated_bytes, lambda raw: _forever(), (ValueError,), longest_s=0.05
    )
    assert list(run(hangs, 5.0, most=1).crashes) == ["TooSlowError in test"]


def _forever():
    while True:
        pass
