"""The command line: what it prints, its exit codes, and that it asks nothing of torch before it must."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from microgpt.checkpoint import load_checkpoint
from microgpt.cli import COMMANDS, main
from microgpt.training.state import STATE

GOLDEN = Path(__file__).parent.parent / "golden"
CHAT, NAMES = GOLDEN / "chat_bpe", GOLDEN / "names_char"


def names_file(directory: Path) -> Path:
    path = directory / "names.txt"
    path.write_text("".join(f"{a}{b}{c}\n" for a in "abde" for b in ("na", "lo") for c in ("mi", "ra", "t")))
    return path


def tiny_run(source: Path, output: Path, *more: object) -> list[str]:
    sizes = ["--n-embd", "16", "--n-head", "2", "--n-layer", "1", "--batch-size", "8", "--threads", "1"]
    return ["train", "--input", str(source), "--output", str(output), *sizes, *map(str, more)]


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one line that a refused command prints."""
    assert main([str(argument) for argument in arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "Traceback" not in printed.err
    return printed.err


@pytest.mark.parametrize("name", [command.__name__.rpartition(".")[2] for command in COMMANDS])
def test_every_command_explains_itself_with_examples(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    assert f"microgpt {name} " in capsys.readouterr().out.partition("examples:")[2]


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["info", str(NAMES), "--tensors"]])
def test_help_and_info_do_not_import_torch(arguments: list[str]) -> None:
    code = f"""
import sys
from microgpt.cli import main
try:
    main({arguments!r})
finally:
    assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=60)


@pytest.mark.parametrize("arguments", [[], ["frobnicate"], ["train"], ["generate", "x", "--seed", "y"]])
def test_a_wrong_command_line_ends_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage: microgpt" in capsys.readouterr().err


def test_train_generate_export_and_info_fit_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, model, half = names_file(tmp_path), tmp_path / "model", tmp_path / "half"
    assert main(tiny_run(source, model, "--steps", 60, "--lr", 0.01)) == 0
    printed = capsys.readouterr().out
    assert "documents: 24" in printed
    assert "step 60/60: loss " in printed
    assert f"microgpt generate {model}" in printed

    assert main(["generate", str(model), "-n", "3", "--seed", "5", "--prompt", "b"]) == 0
    first = capsys.readouterr().out
    assert [line[0] for line in first.splitlines()] == ["b", "b", "b"]
    assert main(["generate", str(model), "-n", "1", "--seed", "6", "--prompt", "b"]) == 0
    assert capsys.readouterr().out.strip() == first.splitlines()[1]  # sample i is drawn with seed + i

    assert main(["generate", str(model), "-n", "1", "--prompt", "bX9"]) == 0
    assert "not in the model's vocabulary, and skipped: 9 X" in capsys.readouterr().err

    assert main(["export", "--half", str(model), str(half)]) == 0
    capsys.readouterr()
    assert load_checkpoint(half).stored_dtype == "F16"
    assert (half / "weights.safetensors").stat().st_size < 0.6 * (model / "weights.safetensors").stat().st_size
    assert main(["info", str(half)]) == 0
    card = dict(line.split(None, 1) for line in capsys.readouterr().out.splitlines())
    assert card["weights"].startswith("F16")
    assert card["chat"] == "no"
    assert card["context"] == "8 tokens"


def test_export_keeps_weights_tokenizer_and_unknown_meta(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = tmp_path / "copy"
    assert main(["export", str(CHAT), str(copy)]) == 0
    assert "0.98 MB of F32 became 0.98 MB" in capsys.readouterr().out
    ours, theirs = load_checkpoint(copy), load_checkpoint(CHAT)
    assert dict(ours.meta) == dict(theirs.meta)
    assert ours.tokenizer.encode("Hello there") == theirs.tokenizer.encode("Hello there")
    assert all((ours.tensors[name].bits == theirs.tensors[name].bits).all() for name in theirs.tensors)
    assert "already holds a model" in refused(capsys, "export", CHAT, copy)


def test_an_output_that_cannot_be_written_is_refused_before_anything_is_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = names_file(tmp_path)
    text = source.read_text()
    for output in (source, source / "below"):
        rule = f"must be a directory that can be written, got {output}: "
        assert f"output {rule}" in refused(capsys, *tiny_run(source, output))
        assert f"DST {rule}" in refused(capsys, "export", CHAT, output)
    assert source.read_text() == text


def test_what_takes_long_before_the_first_line_is_said_on_stderr(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("microgpt.backends.numba_backend._NOTICE_S", 0)
    assert main(["generate", str(NAMES), "-n", "1"]) == 0
    printed = capsys.readouterr()
    assert len(printed.out.split()) == 1
    assert printed.err.startswith("compiling the CPU kernels for this processor and number format\n")
    assert "later starts find them on disk" in printed.err


def test_info_lists_special_tokens_and_tensors(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(CHAT), "--tensors"]) == 0
    printed = capsys.readouterr().out
    assert "<bos> = 0, <user> = 1, <assistant> = 2, <end_turn> = 3" in printed
    assert "byte-level BPE, 1024 ids" in printed
    row = next(line.split() for line in printed.splitlines() if line.startswith("layer1.mlp_fc1"))
    weights = load_checkpoint(CHAT).tensors["layer1.mlp_fc1"].widened()
    assert row[1:5] == ["256", "x", "64", "F32"]
    assert [float(number) for number in row[5:7]] == pytest.approx([weights.min(), weights.max()], abs=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["info", "nowhere"], "cannot use the checkpoint in nowhere"),
        (["generate", str(NAMES), "--temperature", "-1"], "temperature must be >= 0, got -1.0"),
        (["generate", str(NAMES), "-n", "0"], "num_samples must be >= 1, got 0"),
        (["generate", str(NAMES), "--prompt", "a" * 20], "prompt length must be in [1, 16], got 21"),
        (["generate", str(NAMES), "--device", "tpu"], "device must be one of auto, cpu, cuda, got 'tpu'"),
        (["chat", str(NAMES)], "the model was not trained with chat tokens"),
        (["chat", str(CHAT), "--top-p", "0"], "top_p must be in (0, 1], got 0.0"),
        (["train", "--input", "nowhere.txt", "--output", "out"], "nowhere.txt: cannot be read"),
        (["train", "--input", "x", "--output", "out", "--n-embd", "10"], "n_embd must be a multiple of n_head"),
        (["train", "--input", "x", "--output", "out", "--resume"], "out: nothing to resume"),
    ],
)
def test_bad_values_are_one_line_and_exit_code_2(
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert message in refused(capsys, *arguments)


def test_train_does_not_replace_a_model_unasked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = tiny_run(names_file(tmp_path), tmp_path / "out", "--steps", 2)
    assert main(command) == 0
    before = (tmp_path / "out" / "weights.safetensors").read_bytes()
    capsys.readouterr()
    assert "add --overwrite" in refused(capsys, *command)
    assert (tmp_path / "out" / "weights.safetensors").read_bytes() == before
    assert main([*command, "--overwrite", "--seed", "1"]) == 0
    assert (tmp_path / "out" / "weights.safetensors").read_bytes() != before


def test_a_loss_that_is_no_number_ends_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = tiny_run(names_file(tmp_path), tmp_path / "out", "--steps", 10, "--lr", 1e30, "--warmup-steps", 0)
    assert main(command) == 1
    assert "try a lower lr" in capsys.readouterr().err


def stopped_by(number: signal.Signals, command: list[str]) -> tuple[int, str, str]:
    """(exit code, stdout, stderr) of a training command that gets a signal after its first checkpoint."""
    process = subprocess.Popen(
        [sys.executable, "-m", "microgpt.cli", *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        head = ""
        while "saved after step" not in head:
            line = process.stdout.readline()
            assert line, process.communicate()[1]
            head += line
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    return process.returncode, head + out, err


def test_signals_leave_a_run_that_can_be_resumed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = tiny_run(names_file(tmp_path), tmp_path / "out", "--steps", 1_000_000, "--checkpoint-every", 20)
    code, out, err = stopped_by(signal.SIGINT, command)
    assert code == 130
    assert "the same command with --resume goes on" in out
    assert err == "stopping after this step ...\n"
    load_checkpoint(tmp_path / "out")
    assert "holds an unfinished run" in refused(capsys, *command)

    code, out, err = stopped_by(signal.SIGTERM, [*command, "--resume"])
    assert code == 143
    assert "resumed after step " in out
    assert (tmp_path / "out" / STATE).exists()
    assert "Traceback" not in err


def test_the_progress_bar_of_a_terminal_shows_loss_and_pace(tmp_path: Path) -> None:
    """A pseudo-terminal sees the bar's figures, and the summary after it."""
    pty = pytest.importorskip("pty")
    command = tiny_run(names_file(tmp_path), tmp_path / "out", "--steps", 40, "--held-out", 0.3)
    main_end, terminal = pty.openpty()
    process = subprocess.Popen([sys.executable, "-m", "microgpt.cli", *command], stdout=terminal, stderr=terminal)
    os.close(terminal)
    seen = b""
    try:
        while chunk := os.read(main_end, 65536):
            seen += chunk
    except OSError:
        pass  # how Linux says that the other end is closed
    finally:
        os.close(main_end)
    assert process.wait(60) == 0
    text = seen.decode()
    assert "40/40" in text
    assert "held out" in text
    assert "tokens/s" in text
    assert "done in 0:" in text


def chat(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *lines: str) -> list[str]:
    """What `microgpt chat` prints for typed lines, at a temperature where seeds matter."""
    typed = iter(lines)

    def read(prompt: str = "") -> str:
        try:
            return next(typed)
        except StopIteration:
            raise EOFError from None

    monkeypatch.setattr("builtins.input", read)
    assert main(["chat", str(CHAT), "--max-tokens", "12", "--temperature", "1"]) == 0
    return capsys.readouterr().out.splitlines()


def test_chat_streams_retries_and_forgets(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    first, *rest = chat(capsys, monkeypatch, "Hello!", "/retry", "/clear", "/seed 42", "Hello!", "/quit", "never read")
    assert rest[0] == "(seed 43)"
    assert rest[1] != first
    assert rest[2:4] == ["(forgotten)", "(seed 42)"]
    assert rest[4:] == [first]  # nothing of the conversation before is left


def test_retry_after_seed_draws_with_that_seed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = chat(capsys, monkeypatch, "Hello!", "/seed 7", "/retry", "/clear", "/seed 7", "Hello!")
    assert lines[1:3] == ["(seed 7)", "(seed 7)"]
    assert lines[3] == lines[-1]


def test_chat_remembers_the_conversation(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    alone = chat(capsys, monkeypatch, "And then?")
    after = chat(capsys, monkeypatch, "Tell me about the sea.", "And then?")
    assert after[-1] != alone[-1]


def test_chat_explains_what_it_cannot_do(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    lines = chat(capsys, monkeypatch, "", "/retry", "/seed -1", "/dance", "/help")
    assert lines[0] == "(nothing to retry yet)"
    assert lines[1] == "(seed must be an integer in [0, 18446744073709551615], got '-1')"
    assert lines[2] == "(no command /dance; /help lists them)"
    assert any(line.startswith("/clear") for line in lines[3:])


def test_ctrl_c_stops_a_chat_reply_and_keeps_it(capsys: pytest.CaptureFixture[str]) -> None:
    from microgpt.cli.chat import Conversation, reply_to
    from microgpt.engine import load

    conversation = Conversation(load(CHAT), {"temperature": 1.0, "seed": 3})
    conversation.engine.step = _interrupting(conversation.engine.step)
    from microgpt.chat import Message

    conversation.messages.append(Message("user", "Tell me everything."))
    reply_to(conversation)
    printed = capsys.readouterr().out
    assert printed.endswith(" (stopped)\n")
    assert conversation.messages[-1] == Message("assistant", printed.removesuffix(" (stopped)\n"))
    assert not conversation.engine.has_work


def _interrupting(step):
    """An engine's step during which the user presses Ctrl-C."""

    def interrupted():
        events = step()
        if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
            signal.raise_signal(signal.SIGINT)
        return events

    return interrupted


def test_training_record_is_json_without_machine_paths(tmp_path: Path) -> None:
    assert main(tiny_run(names_file(tmp_path), tmp_path / "out", "--steps", 3)) == 0
    record = json.loads((tmp_path / "out" / "training.json").read_text())
    assert record["settings"]["steps"] == 3
    assert str(tmp_path) not in json.dumps(record)
