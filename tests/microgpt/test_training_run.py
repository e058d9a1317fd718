"""Whole training runs, small ones: what they write, that they learn, and that resuming is exact."""

import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from microgpt.checkpoint import load_checkpoint
from microgpt.errors import DataError, NumericalError
from microgpt.training.run import History, Prepared, averaged, train
from microgpt.training.settings import TrainSettings
from microgpt.training.state import STATE


@pytest.fixture(autouse=True)
def _restore_torch_threads():
    """Training sets torch's threads for the process; the next test gets what it had."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


class Watcher:
    """Watches a run; asks it to stop once `stop_at` steps are done."""

    def __init__(self, stop_at: int | None = None):
        self.stop_at = stop_at
        self.steps_done = 0
        self.losses: list[float] = []
        self.saves: list[int] = []
        self.run: Prepared | None = None

    def prepared(self, run: Prepared, steps_done: int) -> None:
        self.run, self.steps_done = run, steps_done

    def stepped(self, history: History) -> None:
        self.steps_done = len(history.losses)
        self.losses.append(history.losses[-1])

    def evaluated(self, history: History) -> None:
        assert history.held_out[-1][0] == self.steps_done + 1

    def saved(self, steps_done: int) -> None:
        self.saves.append(steps_done)

    def should_stop(self) -> bool:
        return self.stop_at is not None and self.steps_done >= self.stop_at


def names_file(directory: Path, count: int = 200) -> Path:
    rng = random.Random(5)
    syllables = ["an", "na", "be", "lo", "mi", "ra", "to", "ka"]
    path = directory / "names.txt"
    path.write_text("".join("".join(rng.choices(syllables, k=rng.randint(1, 4))) + "\n" for _ in range(count)))
    return path


def chat_file(directory: Path, count: int = 60) -> Path:
    rng = random.Random(5)
    path = directory / "chat.jsonl"
    with path.open("w") as file:
        for _ in range(count):
            word = rng.choice(["cat", "dog", "cow", "hen"])
            turns = [("user", f"say {word}"), ("assistant", f"{word}!"), ("user", "thanks"), ("assistant", "bye")]
            file.write(json.dumps([{"role": role, "content": text} for role, text in turns]) + "\n")
    return path


def tiny(source: Path, output: Path) -> TrainSettings:
    return TrainSettings(
        (source,), output, chat=source.suffix == ".jsonl", n_embd=16, n_head=2, n_layer=1, block_size=48,
        tokenizer="char", batch_size=8, steps=30, warmup_steps=3, lr=1e-2, eval_every=10, threads=1,
    )  # fmt: skip


def run_to_end(settings: TrainSettings, resume: bool = False) -> Watcher:
    watcher = Watcher()
    assert train(settings, watcher, watcher.should_stop, resume) is not None
    return watcher


def weights_of(directory: Path) -> dict[str, np.ndarray]:
    return {name: tensor.widened() for name, tensor in load_checkpoint(directory).tensors.items()}


def test_a_run_learns_and_writes_a_model_directory(tmp_path: Path) -> None:
    settings = replace(tiny(names_file(tmp_path), tmp_path / "out"), block_size=None, steps=120)
    history = train(settings, Watcher(), lambda: False)
    assert history is not None
    checkpoint = load_checkpoint(tmp_path / "out")
    assert checkpoint.config.block_size == 16  # the longest line is 8 characters, and BOS; a multiple of 8
    assert checkpoint.stored_dtype == "F32"
    # Two letters of a syllable: the second is all but certain, so a learned loss is far below ln(11) = 2.4.
    assert history.losses[0] > 2.2
    assert history.held_out[-1][1] < 1.4
    record = json.loads((tmp_path / "out" / "training.json").read_text())
    assert record["settings"]["input"] == ["names.txt"]
    assert str(tmp_path) not in json.dumps(record)
    assert record["data"]["documents"] == 200
    assert record["final"]["held_out_loss"] == history.held_out[-1][1]
    assert record["held_out_losses"][-1][0] == record["losses"][-1][0] == 120
    assert not (tmp_path / "out" / STATE).exists()


def test_a_chat_run_writes_a_chat_model(tmp_path: Path) -> None:
    settings = replace(tiny(chat_file(tmp_path), tmp_path / "out"), tokenizer="bpe", vocab_size=300, half=True)
    run_to_end(replace(settings, loss_on="assistant", keep_state=True))
    checkpoint = load_checkpoint(tmp_path / "out")
    assert checkpoint.is_chat
    assert checkpoint.stored_dtype == "F16"
    assert checkpoint.tokenizer.encode("say cat")
    assert (tmp_path / "out" / STATE).exists()


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("source", [names_file, chat_file])
def test_resuming_gives_the_losses_of_an_uninterrupted_run_to_the_bit(tmp_path: Path, threads: int, source) -> None:
    settings = replace(tiny(source(tmp_path), tmp_path / "whole"), threads=threads)
    whole = run_to_end(settings)
    parts = replace(settings, output=tmp_path / "parts", checkpoint_every=4)
    losses = []
    for stop_at in (13, 21):
        watcher = Watcher(stop_at)
        assert train(parts, watcher, watcher.should_stop, resume=stop_at != 13) is None
        losses += watcher.losses
    assert watcher.saves[-1] == 21
    load_checkpoint(tmp_path / "parts")  # an interrupted model can already be tried
    losses += run_to_end(parts, resume=True).losses
    assert losses == whole.losses
    after, expected = weights_of(tmp_path / "parts"), weights_of(tmp_path / "whole")
    assert all(np.array_equal(after[name], expected[name]) for name in expected)
    records = [json.loads((tmp_path / name / "training.json").read_text()) for name in ("parts", "whole")]
    assert records[0]["losses"] == records[1]["losses"]
    assert records[0]["held_out_losses"] == records[1]["held_out_losses"]


def test_shards_add_up_to_the_whole_batch(tmp_path: Path) -> None:
    settings = replace(tiny(names_file(tmp_path), tmp_path / "out"), dtype="float64")
    one = run_to_end(settings)
    three = run_to_end(replace(settings, threads=3))
    assert three.losses == pytest.approx(one.losses, abs=1e-9)


def test_the_same_seed_gives_the_same_run_and_another_seed_another(tmp_path: Path) -> None:
    settings = replace(tiny(names_file(tmp_path), tmp_path / "out"), steps=5)
    assert run_to_end(settings).losses == run_to_end(settings).losses
    assert run_to_end(replace(settings, seed=1)).losses != run_to_end(settings).losses


def stopped_run(tmp_path: Path) -> TrainSettings:
    settings = tiny(names_file(tmp_path), tmp_path / "out")
    watcher = Watcher(stop_at=3)
    assert train(settings, watcher, watcher.should_stop) is None
    return settings


def test_resume_refuses_other_settings_naming_them(tmp_path: Path) -> None:
    settings = stopped_run(tmp_path)
    with pytest.raises(DataError, match=r"other settings: steps was 30, now 60; lr was 0\.01, now 0\.02$"):
        train(replace(settings, steps=60, lr=0.02), Watcher(), lambda: False, resume=True)
    run_to_end(replace(settings, checkpoint_every=2), resume=True)  # how often it saves is no part of the run


def test_resume_refuses_other_data(tmp_path: Path) -> None:
    settings = stopped_run(tmp_path)
    with settings.input[0].open("a") as file:
        file.write("zoe\n")
    with pytest.raises(DataError, match="contents of the input files changed"):
        train(settings, Watcher(), lambda: False, resume=True)


def test_resume_of_a_complete_run_says_so_and_what_to_do(tmp_path: Path) -> None:
    settings = replace(tiny(names_file(tmp_path), tmp_path / "out"), steps=3)
    run_to_end(settings)
    with pytest.raises(DataError, match=r"out: nothing to resume, its run is complete: .*--overwrite.*--init "):
        train(replace(settings, steps=60), Watcher(), lambda: False, resume=True)
    watcher = Watcher(stop_at=2)
    assert train(settings, watcher, watcher.should_stop) is None  # begun anew, and stopped
    run_to_end(settings, resume=True)


def test_resume_without_or_with_a_damaged_state_is_refused(tmp_path: Path) -> None:
    settings = tiny(names_file(tmp_path), tmp_path / "out")
    with pytest.raises(DataError, match="nothing to resume"):
        train(settings, Watcher(), lambda: False, resume=True)
    settings = stopped_run(tmp_path)
    path = tmp_path / "out" / STATE
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(DataError, match="not a readable training state"):
        train(settings, Watcher(), lambda: False, resume=True)


def test_a_loss_that_is_no_number_ends_the_run(tmp_path: Path) -> None:
    settings = replace(tiny(names_file(tmp_path), tmp_path / "out"), lr=1e30, steps=10, warmup_steps=0)
    with pytest.raises(NumericalError, match=r"the loss is (nan|inf) at step \d+; try a lower lr"):
        run_to_end(settings)
    assert not (tmp_path / "out").exists()


def test_data_that_leaves_nothing_to_train_on_is_refused(tmp_path: Path) -> None:
    empty = tmp_path / "empty.txt"
    empty.write_text("\n\n")
    with pytest.raises(DataError, match="no non-empty line to train on"):
        run_to_end(tiny(empty, tmp_path / "out"))
    long = replace(tiny(names_file(tmp_path), tmp_path / "out"), block_size=2, skip_long=True)
    with pytest.raises(DataError, match="block_size 2 skips them all"):
        run_to_end(long)


def test_a_character_model_replaces_a_bpe_model_whole(tmp_path: Path) -> None:
    settings = replace(tiny(names_file(tmp_path), tmp_path / "out"), steps=3)
    run_to_end(replace(settings, tokenizer="bpe", vocab_size=270))
    assert (tmp_path / "out" / "tokenizer.json").exists()
    run_to_end(settings)
    assert not (tmp_path / "out" / "tokenizer.json").exists()
    assert load_checkpoint(tmp_path / "out").config.vocab_size < 20


def test_averaged_losses_keep_every_step() -> None:
    assert averaged([4.0, 2.0, 3.0], points=2) == [(2, 3.0), (3, 3.0)]
    assert averaged([1.0, 2.0], points=200) == [(1, 1.0), (2, 2.0)]


def test_the_plot_is_drawn_where_matplotlib_is_installed(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    run_to_end(replace(tiny(names_file(tmp_path), tmp_path / "out"), steps=3))
    assert (tmp_path / "out" / "loss.png").read_bytes().startswith(b"\x89PNG")


def test_a_run_can_start_from_a_model(tmp_path: Path) -> None:
    first = tiny(names_file(tmp_path), tmp_path / "first")
    run_to_end(first)
    again = replace(
        first, init=tmp_path / "first", output=tmp_path / "again", lr=1e-12, weight_decay=0.0, steps=2, warmup_steps=1,
        tokenizer=None, n_embd=None, n_head=None, n_layer=None, block_size=None,
    )  # fmt: skip
    watcher = run_to_end(again)
    assert watcher.losses[0] < np.log(5)  # 8 letters and BOS: random weights would begin at log 9
    start, end = weights_of(tmp_path / "first"), weights_of(tmp_path / "again")
    for name, array in end.items():
        np.testing.assert_allclose(array, start[name], atol=1e-6)
    assert load_checkpoint(tmp_path / "again").config == load_checkpoint(tmp_path / "first").config


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_layer": 7}, "n_layer must be 1, as in"),
        ({"tokenizer": "bpe"}, "tokenizer must be char, as in"),
        ({"vocab_size": 300}, "vocab_size must be absent with init"),
        ({"chat": True}, "init must be a chat model for chat data"),
    ],
)
def test_a_start_that_does_not_fit_is_refused(tmp_path: Path, change: dict, message: str) -> None:
    first = replace(tiny(names_file(tmp_path), tmp_path / "first"), steps=1, warmup_steps=0)
    run_to_end(first)
    with pytest.raises(DataError, match=message):
        run_to_end(replace(first, init=tmp_path / "first", output=tmp_path / "again", **change))
