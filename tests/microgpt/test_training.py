"""The trainer's parts: packing against the plain model, documents, schedule, split."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from microgpt.config import ModelConfig
from microgpt.errors import DataError
from microgpt.models.gpt import GPT
from microgpt.tokenizers import Tokenizer, train_bpe, train_chars
from microgpt.training import corpus
from microgpt.training.batches import BatchOrder, fixed_batches, make_batch
from microgpt.training.forward import batch_loss
from microgpt.training.schedule import learning_rate
from microgpt.training.settings import TrainSettings

CONFIG = ModelConfig(vocab_size=23, n_embd=12, n_head=3, n_layer=2, block_size=40)


def model(seed: int = 0) -> GPT:
    gpt = GPT(CONFIG).double()
    gpt.init_weights(seed)
    with torch.no_grad():
        for parameter in gpt.parameters():
            parameter.mul_(8)  # far from zero, so that attention and ReLU have something to do
    return gpt


def documents(lengths: list[int], seed: int = 0) -> corpus.Documents:
    rng = np.random.default_rng(seed)
    total = sum(lengths)
    return corpus.Documents(
        ids=rng.integers(0, CONFIG.vocab_size, total).astype(np.int32),
        counted=rng.random(total) < 0.7,
        starts=np.cumsum([0, *lengths]),
        bos_optional=np.ones(len(lengths), np.bool_),
    )


def lonely_loss(gpt: GPT, docs: corpus.Documents, chosen: list[int], without_bos: list[bool]) -> torch.Tensor:
    """The oracle: every document alone through GPT.forward, from position 0, and the mean of what counts."""
    losses = []
    for document, drop in zip(chosen, without_bos, strict=True):
        span = slice(int(docs.starts[document]) + drop, int(docs.starts[document + 1]))
        ids = torch.from_numpy(docs.ids[span].astype(np.int64))
        each = F.cross_entropy(gpt(ids[None, :-1])[0], ids[1:], reduction="none")
        losses.append(each[torch.from_numpy(docs.counted[span][1:])])
    return torch.cat(losses).mean()


def test_packed_loss_and_gradients_equal_those_of_lonely_documents() -> None:
    docs = documents([3, 41, 17, 17, 2, 30, 9, 41])
    chosen, without_bos = [7, 0, 1, 2, 3, 5, 6], [False, False, True, False, True, True, False]
    gpt = model()
    expected = lonely_loss(gpt, docs, chosen, without_bos)
    expected_grads = torch.autograd.grad(expected, list(gpt.parameters()))
    batch = make_batch(docs, chosen, without_bos)
    loss = batch_loss(gpt, batch, torch.float64)
    grads = torch.autograd.grad(loss, list(gpt.parameters()))
    assert loss.item() == pytest.approx(expected.item(), abs=1e-12)
    for name, got, want in zip(dict(gpt.named_parameters()), grads, expected_grads, strict=True):
        torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-12, msg=lambda text, name=name: f"{name}: {text}")
    assert batch.num_tokens == sum(
        int(docs.starts[d + 1] - docs.starts[d]) - 1 - b for d, b in zip(chosen, without_bos, strict=True)
    )


def test_packed_loss_without_gradients_is_the_same() -> None:
    docs = documents([12] * 60, seed=3)  # more targets than one piece of the logits
    batch = make_batch(docs, list(range(60)), [False] * 60)
    gpt = model()
    with torch.no_grad():
        quiet = batch_loss(gpt, batch, torch.float64)
    assert quiet.item() == batch_loss(gpt, batch, torch.float64).item()
    assert quiet.item() == pytest.approx(lonely_loss(gpt, docs, list(range(60)), [False] * 60).item(), abs=1e-12)


def test_bfloat16_products_stay_near_the_float32_loss() -> None:
    docs = documents([20, 33, 8])
    gpt = GPT(CONFIG)
    gpt.init_weights(1)
    batch = make_batch(docs, [0, 1, 2], [False] * 3)
    exact = batch_loss(gpt, batch, torch.float32)
    rough = batch_loss(gpt, batch, torch.bfloat16)
    rough.backward()
    assert rough.item() == pytest.approx(exact.item(), rel=1e-3)
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in gpt.parameters())


def test_another_document_in_the_batch_changes_nothing() -> None:
    docs = documents([20, 33, 8])
    gpt = model()
    alone = batch_loss(gpt, make_batch(docs, [0], [False]), torch.float64).item() * int(docs.counted[1:20].sum())
    both = batch_loss(gpt, make_batch(docs, [0, 1], [False] * 2), torch.float64).item()
    other = batch_loss(gpt, make_batch(docs, [1], [False]), torch.float64).item() * int(docs.counted[21:53].sum())
    assert both * int(docs.counted[1:20].sum() + docs.counted[21:53].sum()) == pytest.approx(alone + other, abs=1e-9)


def test_every_pass_visits_every_document_once_in_a_new_order() -> None:
    docs = documents([4] * 10)
    docs.ids[:] = np.repeat(np.arange(10), 4)  # a document's ids are its number
    docs.counted[:] = True
    order = BatchOrder(docs, batch_size=5, seed=7)
    seen = [sorted({int(i) for b in order.shards(step, 2) for i in b.targets}) for step in range(4)]
    assert sorted(seen[0] + seen[1]) == list(range(10))
    assert sorted(seen[2] + seen[3]) == list(range(10))
    assert seen[0] != seen[2]
    again = BatchOrder(docs, batch_size=5, seed=7)
    assert sorted({int(i) for b in again.shards(3, 1) for i in b.targets}) == seen[3]


def test_half_of_the_conversations_go_without_bos() -> None:
    docs = documents([6] * 40)
    docs.counted[:] = True
    order = BatchOrder(docs, batch_size=40, seed=0)
    targets = [sum(len(b.targets) for b in order.shards(step, 1)) for step in range(3)]
    assert targets == [40 * 5 - 20] * 3
    docs.bos_optional[:] = False
    assert len(BatchOrder(docs, 40, 0).shards(0, 1)[0].targets) == 40 * 5


def test_fixed_batches_hold_every_document_once() -> None:
    docs = documents([5, 9, 30, 4, 12])
    batches = fixed_batches(docs, 2)
    assert sum(b.num_tokens for b in batches) == docs.num_tokens - 5 - 2  # one less each; two go without BOS


def test_learning_rate_warms_up_and_ends_near_zero() -> None:
    rates = [learning_rate(step, 100, 1.0, 10) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9] == rates[10] == 1.0
    assert rates[55] == pytest.approx(0.5)
    assert rates[99] == pytest.approx(1 / 90)
    assert learning_rate(0, 10, 1.0, 0) == 1.0


def chat_tokenizer() -> Tokenizer:
    return train_chars(["abcdefgh "], chat=True)


def shown(docs: corpus.Documents, tokenizer: Tokenizer) -> list[str]:
    names = [tokenizer.token_name(int(i)) for i in docs.ids]
    return ["".join(names[a:b]) for a, b in zip(docs.starts, docs.starts[1:], strict=False)]


def encode(examples: list[corpus.Example], tokenizer: Tokenizer, block: int | None, **more: object) -> corpus.Documents:
    counts: Counter[str] = Counter()
    options = {"skip_long": False, "loss_on": "all", "counts": counts} | more
    return corpus.encode_examples(examples, tokenizer, block, **options)  # pyright: ignore[reportArgumentType]


def test_documents_are_framed_by_bos() -> None:
    tokenizer = chat_tokenizer()
    chat = (("user", "ab"), ("assistant", "cd"))
    assert shown(encode(["abc", chat], tokenizer, None), tokenizer) == [
        "<bos>abc<bos>",
        "<bos><user>ab<end_turn><assistant>cd<end_turn><bos>",
    ]


def test_special_tokens_in_a_message_stay_text() -> None:
    tokenizer = train_bpe(["<user> hello"] * 3, 280, chat=True)
    docs = encode([(("user", "<assistant>"), ("assistant", "<end_turn><bos>"))], tokenizer, None)
    special = [int(i) for i in docs.ids if int(i) in tokenizer.special_ids]
    assert [tokenizer.token_name(i) for i in special] == [
        "<bos>", "<user>", "<end_turn>", "<assistant>", "<end_turn>", "<bos>",
    ]  # fmt: skip


def test_loss_on_assistant_counts_replies_and_ends_alone() -> None:
    tokenizer = chat_tokenizer()
    docs = encode(
        [(("user", "ab"), ("assistant", "cd"), ("user", "e"), ("assistant", "f"))], tokenizer, None, loss_on="assistant"
    )
    names = [tokenizer.token_name(int(i)) for i in docs.ids[docs.counted]]
    assert names == ["c", "d", "<end_turn>", "f", "<end_turn>", "<bos>"]
    everything = encode([(("user", "ab"), ("assistant", "cd"))], tokenizer, None)
    assert everything.counted.sum() == len(everything.ids) - 1


def test_mixed_loss_counts_replies_and_a_fifth_of_the_rest() -> None:
    tokenizer = chat_tokenizer()
    conversations: list[corpus.Example] = [(("user", "abcdefgh"), ("assistant", "cd"))] * 200
    docs = encode(conversations, tokenizer, None, loss_on="mixed")
    names = Counter(tokenizer.token_name(int(i)) for i in docs.ids[docs.counted])
    assert names["c"] - names["e"] >= 195  # every "c" and "d" of a reply, besides a fifth of the users'
    assert names["d"] - names["e"] >= 200 - 10
    for rest in ("a", "b", "e", "f", "g", "h", "<user>", "<assistant>"):
        assert 30 <= names[rest] <= 50


def test_long_text_is_windowed_and_every_token_is_predicted_once() -> None:
    tokenizer, counts = train_chars(["abcdefgh"], chat=False), Counter()
    docs = encode(["abcdefgh"], tokenizer, 4, counts=counts)
    assert shown(docs, tokenizer) == ["<bos>abcd", "defgh", "h<bos>"]
    assert counts == {"long documents cut into windows": 1, "windows": 3}
    assert not docs.bos_optional.any()


def test_long_conversation_is_cut_between_exchanges() -> None:
    tokenizer, counts = chat_tokenizer(), Counter()
    turns = (
        ("user", "ab"),
        ("assistant", "cd"),
        ("user", "e"),
        ("assistant", "fghfghfghfgh"),
        ("user", "a"),
        ("assistant", "b"),
    )
    docs = encode([turns], tokenizer, 14, counts=counts)
    assert shown(docs, tokenizer) == [
        "<bos><user>ab<end_turn><assistant>cd<end_turn>",
        "<bos><user>e<end_turn><assistant>fghfghfghf",
        "<bos><user>a<end_turn><assistant>b<end_turn><bos>",
    ]
    # A served prompt that lost its beginning starts with BOS: only the first window may go without.
    assert docs.bos_optional.tolist() == [True, False, False]
    assert counts["windows"] == 3


def test_skip_long_leaves_long_documents_out() -> None:
    tokenizer, counts = train_chars(["abcdefgh"], chat=False), Counter()
    docs = encode(["abcdefgh", "ab"], tokenizer, 4, skip_long=True, counts=counts)
    assert shown(docs, tokenizer) == ["<bos>ab<bos>"]
    assert counts == {"long documents skipped": 1}


def write_lines(path: Path, *lines: object) -> Path:
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines), "utf-8")
    return path


def turn(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def test_conversations_are_trimmed_skipped_and_counted(tmp_path: Path) -> None:
    path = write_lines(
        tmp_path / "chat.jsonl",
        [turn("user", "a"), turn("assistant", "b"), turn("user", "c"), turn("user", "d")],
        "",
        [turn("user", "nobody answers")],
        [turn("assistant", "hello")],
    )
    counts: Counter[str] = Counter()
    kept = corpus.read_conversations([path], counts)
    assert kept == [(("user", "a"), ("assistant", "b")), (("assistant", "hello"),)]
    assert counts == {
        "conversations": 3,
        "trailing user turns trimmed": 2,
        "conversations without an assistant turn skipped": 1,
        "blank lines skipped": 1,
    }


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2: not JSON"),
        ("{}", "line 2: must be a non-empty list of turns, got '{}'"),
        ('["hi"]', "line 2, turn 1: must be an object like"),
        ('[{"role": "system", "content": "x"}]', "line 2, turn 1: role must be user or assistant, got 'system'"),
        ('[{"role": "user", "content": 3}]', "line 2, turn 1: content must be a string, got 3"),
        ('[{"role": "user", "content": "\\ud800"}]', "line 2, turn 1: content must be text, got a lone surrogate"),
        ("[" * 100_000, "line 2: not JSON"),
    ],
)
def test_bad_conversations_are_named_by_file_and_line(tmp_path: Path, line: str, message: str) -> None:
    path = write_lines(tmp_path / "chat.jsonl", [turn("assistant", "fine")], line)
    with pytest.raises(DataError) as caught:
        corpus.read_conversations([path], Counter())
    assert f"{path}, {message}" in str(caught.value)


def test_bad_text_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "latin.txt"
    path.write_bytes(b"fine\ncaf\xe9\n")
    with pytest.raises(DataError, match=r"latin\.txt, line 2: not UTF-8"):
        corpus.read_texts([path], Counter())
    with pytest.raises(DataError, match=r"absent\.txt: cannot be read: No such file"):
        corpus.read_texts([tmp_path / "absent.txt"], Counter())


def test_text_lines_lose_outer_white_space_and_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes("\ufeff  anna \r\n\r\nbob".encode())
    assert corpus.read_texts([path], Counter()) == ["anna", "bob"]


def test_split_is_a_function_of_text_and_seed() -> None:
    texts: list[corpus.Example] = [f"text {i}" for i in range(2000)]
    training, held_out = corpus.split_held_out(texts, 0.05, seed=1)
    assert len(training) + len(held_out) == 2000
    assert 70 <= len(held_out) <= 130
    assert set(corpus.split_held_out(texts[::-1] + texts[:500], 0.05, seed=1)[1]) == set(held_out)
    assert set(corpus.split_held_out(texts, 0.05, seed=2)[1]) != set(held_out)
    assert corpus.split_held_out(texts, 0.0, seed=1)[1] == []
    many: list[corpus.Example] = [f"text {i}" for i in range(50_000)]
    assert 400 <= len(corpus.split_held_out(many, 0.5, seed=1)[1]) <= 600  # bounded, however much data there is


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 0}, "steps must be >= 1, got 0"),
        ({"lr": float("nan")}, "lr must be > 0, got nan"),
        ({"n_embd": 10, "n_head": 3}, "n_embd must be a multiple of n_head, got n_embd 10 and n_head 3"),
        (
            {"vocab_size": 512},
            "vocab_size must be absent for the char tokenizer, which has one id per character of the data, got 512",
        ),
        ({"tokenizer": "bpe", "vocab_size": 100}, "vocab_size must be >= 261, got 100"),
        ({"loss_on": "assistant"}, "loss_on must be all for plain text"),
        ({"held_out": 1.0}, r"held_out must be in \[0, 1\), got 1.0"),
        ({"steps": 10, "warmup_steps": 11}, r"warmup_steps must be <= steps \(10\), got 11"),
        ({"dtype": "float16"}, "dtype must be float32 or bfloat16 or float64, got float16"),
    ],
)
def test_settings_name_what_is_wrong(changes: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        TrainSettings((Path("in.txt"),), Path("out"), **changes).completed()  # pyright: ignore[reportArgumentType]


def test_defaults_depend_on_the_kind_of_data() -> None:
    plain = TrainSettings((Path("in.txt"),), Path("out"), steps=50).completed()
    chat = TrainSettings((Path("in.jsonl"),), Path("out"), chat=True).completed()
    assert (plain.tokenizer, plain.vocab_size, plain.block_size, plain.warmup_steps) == ("char", None, None, 5)
    assert (chat.tokenizer, chat.vocab_size, chat.block_size, chat.n_embd) == ("bpe", 1024, 512, 192)
