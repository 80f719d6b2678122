"""Each kind of system answers or says why not: one mixture's failure is that mixture's alone, and a mistake is told at once."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("lightning", reason="the extra `train` is not installed")
from evaluation_sets import RATE, Asked, band, dataset_of, written

from schemas.errors import Reject, RunStopped, UserError
from trainers.evaluating.fitting import fitted
from trainers.evaluating.items import Item
from trainers.evaluating.sets import open_sets
from trainers.evaluating.systems import Command, Folder, Function, System, _read, system_of

COPY = "import shutil, sys; shutil.copy(sys.argv[1], sys.argv[2])"


@pytest.fixture(scope="module")
def items(tmp_path_factory: pytest.TempPathFactory) -> list[Item]:
    asked = [Asked(1), Asked(2, "high"), Asked(3, 'it\'s "loud" {out} $HOME; -x')]
    return list(open_sets([str(dataset_of(tmp_path_factory.mktemp("set"), *asked))], "test")[0])


def refused(system: System, item: Item) -> tuple[str, str]:
    with pytest.raises(Reject) as caught:
        system(item)
    return caught.value.error, caught.value.message


def python(code: str, *more: str) -> Command:
    return Command(" ".join([sys.executable, "-c", f"'{code}'", "{mixture}", "{out}", *more]))


def test_a_function_is_called_with_a_mixture_of_its_own(items: list[Item]) -> None:
    system = system_of("evaluation_sets:band", "cpu")
    assert isinstance(system, Function)
    np.testing.assert_array_equal(system(items[0]).samples, band(items[0].mixture, RATE, "low"))
    assert system(items[0]).rate == RATE
    assert len(system.revision or "") == 64
    assert not np.shares_memory(Function("evaluation_sets:same")(items[0]).samples, items[0].mixture)


def test_a_functions_failure_is_a_reject_unless_it_is_the_machines(items: list[Item]) -> None:
    picky = Function("evaluation_sets:picky")
    assert refused(picky, items[0]) == ("system_failed", "ValueError: too low for me")
    picky(items[1])
    assert refused(Function("evaluation_sets:column"), items[0])[0] == "wrong_shape"
    with pytest.raises(RunStopped, match="MemoryError: no room"):
        Function("evaluation_sets:full")(items[0])


def test_a_module_of_the_current_folder_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, items: list[Item]
) -> None:
    (tmp_path / "my_own_separator.py").write_text("def half(mixture, rate, query):\n    return mixture / 2\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    np.testing.assert_array_equal(Function("my_own_separator:half")(items[0]).samples, items[0].mixture / 2)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("no_such_module:f", r"the module no_such_module cannot be imported \(ModuleNotFoundError"),
        ("evaluation_sets:nothing", "has no function nothing"),
        ("evaluation_sets:number", "has no function number"),
        ("audiosep", "is none of these: `package.module:function`, a command line"),
        ("sep {mixture}", r"must hold \{mixture\} and \{out\}"),
        ("sep '{mixture} {out}", r"is no command line \(No closing quotation\)"),
        ("no-such-program {mixture} {out}", "there is no program no-such-program"),
    ],
)
def test_a_mistake_in_the_system_is_told_before_anything_runs(name: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        system_of(name, "cpu")


def test_a_command_gets_the_very_samples_and_the_words_as_one_argument(items: list[Item], tmp_path: Path) -> None:
    system = python(COPY)
    assert isinstance(system_of(system.name, "cpu"), Command)
    made = system(items[0])
    assert (made.rate, made.samples.shape) == (RATE, (RATE, 1))
    np.testing.assert_array_equal(made.samples[:, 0], items[0].mixture)
    told = tmp_path / "told.txt"
    python(f'import sys; open("{told}", "w").write("|".join(sys.argv[3:])); ' + COPY, "{query}", "q={query}")(items[2])
    assert told.read_text() == f"{items[2].query}|q={items[2].query}"


def test_a_command_that_fails_says_why_without_the_machines_paths(items: list[Item]) -> None:
    failing = python('import sys; print("first", file=sys.stderr); sys.exit("cannot read " + sys.argv[1])')
    assert refused(failing, items[0]) == ("system_failed", "exit code 1: cannot read mixture.wav")
    assert refused(python("import sys; sys.exit(3)"), items[0]) == ("system_failed", "exit code 3: it says nothing")
    assert refused(python("pass"), items[0]) == ("system_failed", "exit code 0, and nothing is written to {out}")
    error, message = refused(python('import sys; open(sys.argv[2], "w").write("no sound")'), items[0])
    assert (error, message.partition(":")[0]) == ("not_audio", "out.wav")


def test_a_function_that_ends_the_process_fails_and_its_mixture_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, items: list[Item]
) -> None:
    (tmp_path / "a_quitter.py").write_text("def quit(mixture, rate, query):\n    raise SystemExit(3)\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert refused(Function("a_quitter:quit"), items[0]) == ("system_failed", "SystemExit: 3")


def test_a_command_is_told_its_task_and_the_sentences_of_the_sample(items: list[Item], tmp_path: Path) -> None:
    told, said = tmp_path / "told.txt", {"instruction_remove": "Remove the whistle."}
    wrote = f'import sys; open("{told}", "w").write("|".join(sys.argv[3:])); ' + COPY
    item = replace(items[0], record=items[0].record | said)
    python(wrote, "{task}", "{instruction_remove}")(item)
    assert told.read_text() == "extraction|Remove the whistle."
    assert refused(python(wrote, "{instruction_extract}"), item) == (
        "no_words",
        "the mixture holds no instruction_extract",
    )
    python(wrote, "{task}", "{query}")(replace(item, task="removal"))
    assert told.read_text() == "removal|low"
    for words in ("{query}", "{task} {instruction_remove}"):
        with pytest.raises(UserError, match=r"for --task removal it must hold \{task\}, and no instruction"):
            python(wrote, words)(replace(item, task="removal"))


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import os, sys; os.mkfifo(sys.argv[2])", "nothing is written"),
        ("import os, sys; os.mkdir(sys.argv[2])", "nothing is written"),
        ("import sys; sys.stderr.buffer.write(bytes([99, 233, 10])); sys.exit(2)", "exit code 2: c\ufffd"),
    ],
)
def test_what_a_command_leaves_that_is_no_file_or_no_text_is_its_failure(
    items: list[Item], code: str, words: str
) -> None:
    error, message = refused(python(code), items[0])
    assert error == "system_failed"
    assert words in message


def test_words_that_no_command_line_holds_cost_their_mixture(items: list[Item]) -> None:
    odd = replace(items[0], query="a \0 b")
    assert refused(python(COPY, "{query}"), odd) == ("system_failed", "cannot be asked: embedded null byte")
    python(COPY, "{query}")(replace(items[0], query="caf\udce9"))


def test_of_a_file_that_claims_to_be_endless_no_more_is_read_than_could_fit(items: list[Item], tmp_path: Path) -> None:
    written(tmp_path / f"{items[0].key}.wav", np.zeros(3 * RATE))
    assert refused(Folder(str(tmp_path)), items[0]) == (
        "wrong_length",
        "is longer than the mixture by more than 0.1 s",
    )


def test_odd_files_are_answers_or_are_refused_and_nothing_else_happens(
    items: list[Item], tmp_path: Path, shared: Path
) -> None:
    found = set()
    for number, path in enumerate(sorted(path for path in (shared / "audio_odd").rglob("*") if path.is_file())):
        (tmp_path / f"{number}.wav").symlink_to(path)
        try:
            fitted(_read(tmp_path / f"{number}.wav", items[0]), items[0])
        except Reject as reject:
            found.add(reject.error)
    assert {"not_audio", "wrong_length"} <= found <= {"not_audio", "wrong_length", "wrong_shape", "not_finite"}


def test_a_folder_answers_by_key_and_by_set(items: list[Item], tmp_path: Path) -> None:
    written(tmp_path / f"{items[0].key}.wav", items[0].target)
    written(tmp_path / f"{items[1].key}.flac", items[1].target)
    system = system_of(str(tmp_path), "cpu")
    assert isinstance(system, Folder)
    np.testing.assert_array_equal(system(items[0]).samples[:, 0], items[0].target)
    np.testing.assert_array_equal(system(items[1]).samples[:, 0], items[1].target)
    assert refused(system, items[2]) == ("missing_audio", f"there is no {items[2].key}.wav or .flac")
    (tmp_path / f"{items[2].key}.wav").write_bytes(b"no sound")
    assert refused(system, items[2])[0] == "not_audio"
    written(tmp_path / items[0].set / f"{items[0].key}.wav", items[0].mixture)
    np.testing.assert_array_equal(Folder(str(tmp_path))(items[0]).samples[:, 0], items[0].mixture)


def test_one_file_does_not_answer_two_sets(tmp_path: Path) -> None:
    asked = Asked(1)
    sets = open_sets([str(dataset_of(tmp_path / name, asked)) for name in ("one", "two")], "test")
    (one,), (two,) = sets
    system = Folder(str(written(tmp_path / "answers" / f"{asked.key}.wav", one.target).parent))
    system(one)
    with pytest.raises(UserError, match=r"is in one/mix/test and two/mix/test; put answers into folders"):
        system(two)


def test_a_folder_without_a_sound_is_no_system(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no .wav or .flac file, and no weights"):
        system_of(str(tmp_path), "cpu")
