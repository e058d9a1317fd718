"""The default model's data and its evaluation: determinism, held-out wordings, facts, checkers."""

# pyright: reportMissingImports=false

import json
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"
sys.path.insert(0, str(SCRIPTS))

import eval_default_model as evaluation  # noqa: E402
import make_chat_data  # noqa: E402
from chat_data import (  # noqa: E402
    fact_talk,
    facts,
    grammar,
    memory,
    poems,
    small_talk,
    stories,
    topics,
    unknown,
    vocabulary,
)
from chat_data.conversations import BUILDERS, Writer  # noqa: E402
from chat_data.holdout import HeldOut, load_prompts, wording  # noqa: E402

PROMPTS = load_prompts()


@pytest.fixture(scope="module")
def talks() -> list:
    return list(Writer(random.Random(5), HeldOut(PROMPTS)).conversations(3000))


@pytest.fixture(scope="module")
def turns(talks: list) -> list:
    return [turn for talk in talks for turn in talk]


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    for name, seed in (("a", "3"), ("b", "3"), ("c", "4")):
        command = [sys.executable, str(SCRIPTS / "make_chat_data.py"), "--conversations", "60", "--seed", seed]
        subprocess.run([*command, "--output", str(tmp_path / name)], check=True, capture_output=True)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() != (tmp_path / "c").read_bytes()
    lines = (tmp_path / "a").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 60
    for line in lines:
        messages = json.loads(line)
        assert [m["role"] for m in messages] == ["user", "assistant"] * (len(messages) // 2)
        assert all(m["content"].strip() == m["content"] != "" for m in messages)


def test_a_bad_count_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        make_chat_data.parse_arguments(["--output", "x", "--conversations", "0"])
    assert "--conversations must be >= 1, got 0" in capsys.readouterr().err


def test_conversations_have_one_to_ten_turns_and_every_topic(talks: list, turns: list) -> None:
    assert {1, 2, 3, 4, 5, 6, 7, 8} <= {len(talk) for talk in talks}
    assert max(map(len, talks)) <= 10
    assert set(BUILDERS) | {memory.TOPIC} == {turn.topic for turn in turns}


def test_no_placeholder_and_no_grammar_sign_is_left_in_any_message(turns: list) -> None:
    for turn in turns:
        for text in (turn.user, turn.reply):
            assert not set("{}[]|<>") & set(text), text


def test_no_user_message_has_a_held_out_wording(turns: list) -> None:
    exact = {wording(t) for p in PROMPTS if not p.get("slots") for t in p["turns"]}
    assert len(exact) > 200
    assert not [turn.user for turn in turns if wording(turn.user) in exact]
    held_out = HeldOut(PROMPTS)
    assert not [turn.user for turn in turns if held_out.contains(turn.user)]


def test_the_writer_actively_leaves_a_wording_out() -> None:
    prompt = {"id": "x", "topic": "sums", "turns": ["What is 3 + 4?"], "check": {}}
    free, bound = (Writer(random.Random(1), HeldOut(p)) for p in ([], [prompt]))
    target = wording("what is 1 + 2")
    assert any(wording(t.user) == target for talk in free.conversations(1000) for t in talk)
    assert not any(wording(t.user) == target for talk in bound.conversations(1000) for t in talk)
    assert bound.skipped > 0


def test_wordings_ignore_values_case_and_punctuation() -> None:
    assert wording("What's the capital of France?") == wording("whats the capital of new delhi")
    assert wording("What colour is a banana?") == wording("what colour is Snow")
    assert wording("What is 3+4") == wording("what is ten + 0?")
    assert wording("hello there") != wording("hello here")


def test_slots_of_a_held_out_prompt_stand_for_any_words() -> None:
    held_out = HeldOut([{"turns": ["Folks call me Wilhelmina."], "slots": ["Wilhelmina"]}])
    assert held_out.contains("folks call me bob")
    assert held_out.contains("Folks call me Mary Ann!")
    assert not held_out.contains("they call me bob")


def test_every_sum_of_the_range_is_taught_and_right(turns: list) -> None:
    rng = random.Random(2)
    pairs: Counter[str] = Counter()
    for _ in range(20_000):
        reply = fact_talk.sums(rng).reply
        a, _, b, _, c = reply.rstrip(".").replace(",", "").replace(".", "").split()[:5]
        assert int(a) + int(b) == int(c), reply
        pairs[f"{a}+{b}"] += 1
    assert len(pairs) == 121


def test_tables_are_large_enough_and_consistent() -> None:
    assert len(facts.OPPOSITES) >= 160
    assert all(facts.OPPOSITES[w] in facts.ACCEPTED_OPPOSITES[w] for w in facts.OPPOSITES)
    assert len(facts.CAPITALS) >= 20
    assert len(set(facts.CAPITALS.values())) == len(facts.CAPITALS)
    assert not set(unknown.OTHER_COUNTRIES) & set(facts.CAPITALS)
    assert not set(unknown.OTHER_CITIES) & set(facts.COUNTRY_OF_CAPITAL)
    assert sum(map(int, facts.MONTH_LENGTHS)) == 365


def test_only_refusals_have_the_marks_of_a_refusal(turns: list) -> None:
    rng = random.Random(3)
    for _ in range(5000):
        exchange = unknown.unknown(rng)
        assert any(mark in exchange.reply.lower() for mark in unknown.MARKERS), exchange
    for turn in turns:
        if turn.topic not in (unknown.TOPIC, small_talk.CHAT, "poems"):  # a couplet ends in "I don't know how"
            assert not any(mark in turn.reply.lower() for mark in unknown.MARKERS), turn


def test_what_is_asked_back_was_told_and_is_copied_exactly(talks: list) -> None:
    copied = 0
    for talk in talks:
        for index, turn in enumerate(talk):
            if turn.topic == memory.TOPIC and turn.reply.startswith("Your name is "):
                name = turn.reply.removeprefix("Your name is ").split(".")[0]
                assert any(name in earlier.user for earlier in talk[:index]), talk
                copied += 1
    assert copied > 100


def test_a_correction_replaces_what_was_told() -> None:
    rng = random.Random(4)
    for _ in range(200):
        told = memory.Told()
        memory.tell(rng, told, "name")
        memory.tell(rng, told, "name")
        assert told.values["name"] in memory.ask(rng, told, "name").reply


def test_names_of_the_held_out_prompts_are_in_no_pool() -> None:
    values = {p["check"]["value"] for p in PROMPTS if p["check"]["kind"] == "recall"}
    assert len(values) > 20
    assert not values & {*memory.NAMES, *memory.LIKED, *vocabulary.RARE_NAMES, *vocabulary.MASS}
    assert not values & {vocabulary.plural(noun) for noun in vocabulary.NOUNS}


def test_stories_and_poems_are_varied() -> None:
    rng = random.Random(6)
    assert len({stories.story(rng, topics.Topic("the sea")) for _ in range(500)}) > 495
    assert len({poems.poem(rng, topics.Topic("the sea")) for _ in range(500)}) > 450
    assert all("sea" in poems.poem(rng, topics.Topic("the sea")) for _ in range(50))


def test_noise_never_touches_a_value() -> None:
    rng = random.Random(7)
    for _ in range(2000):
        assert "Zebulon" in grammar.say(
            rng, "please remember that my name is {v}", verbatim=True, typo_rate=1.0, v="Zebulon"
        )


def test_a_template_with_a_stray_bracket_is_refused() -> None:
    for template in ("(a|b", "a)", "[a|b)"):
        with pytest.raises(ValueError, match="unmatched"):
            grammar.expand(template, random.Random(0))


# --- the evaluation -----------------------------------------------------------------------------------------------


def test_there_are_enough_held_out_prompts_of_each_topic() -> None:
    counts = Counter(p["topic"] for p in PROMPTS)
    assert len(PROMPTS) >= 260
    assert len({p["id"] for p in PROMPTS}) == len(PROMPTS)
    assert min(counts.values()) >= 12
    least = {"don't know": 35, "memory": 24, "sums": 24, "capitals": 20, "opposites": 24}
    assert all(counts[topic] >= n for topic, n in least.items())


@pytest.mark.parametrize(
    ("check", "right", "wrong"),
    [
        ({"kind": "sum", "a": 3, "b": 4}, "3 + 4 = 7.", "3 + 4 = 8."),
        ({"kind": "sum", "a": 3, "b": 4}, "That makes 7", "I have 7 and 8"),
        ({"kind": "capital", "of": "France"}, "The capital of France is Paris.", "The capital of France is Rome."),
        ({"kind": "country", "of": "Paris"}, "Paris is the capital of France.", "Paris is the capital of Spain."),
        ({"kind": "opposite", "of": "big"}, "The opposite of big is small.", "The opposite of big is big."),
        ({"kind": "colour", "of": "a banana"}, "A banana is yellow.", "A banana is blue."),
        ({"kind": "mix", "a": "red", "b": "blue"}, "Red and blue make purple.", "Red and blue make green."),
        ({"kind": "sound", "of": "cow"}, "A cow says moo!", "A cow says baa!"),
        ({"kind": "maker", "of": "roar"}, "A tiger says roar!", "A cow says roar!"),
        ({"kind": "legs", "of": "spider"}, "A spider has eight legs.", "A spider has six legs."),
        ({"kind": "fly", "of": "penguin"}, "No, a penguin cannot fly.", "Yes, a penguin can fly."),
        ({"kind": "neighbour", "of": "Monday", "step": 1}, "Tuesday comes after Monday.", "Sunday comes after Monday."),
        ({"kind": "recall", "value": "Zoltan"}, "Your name is zoltan.", "Your name is Bob."),
        ({"kind": "not_told"}, "You have not told me your name yet.", "Your name is Bob."),
        ({"kind": "dont_know"}, "Sorry, I do not know that.", "The answer is 95."),
        ({"kind": "names", "of": "dog"}, "How about Rex, Fido or Max?", "A dog says woof!"),
        ({"kind": "says", "words": ["seven|7"]}, "There are seven days.", "There are 17 days."),
    ],
)
def test_checkers_accept_the_right_and_refuse_the_wrong(check: dict, right: str, wrong: str) -> None:
    checker = evaluation.CHECKERS[check["kind"]]
    assert checker(right, check)
    assert not checker(wrong, check)


def test_checkers_accept_what_the_data_teaches() -> None:
    taught = {
        "capital": lambda of: fact_talk.capital_reply(of),
        "opposite": lambda of: fact_talk.opposite_reply(of),
        "sound": lambda of: fact_talk.sound_reply(of),
        "baby": lambda of: fact_talk.baby_reply(of),
        "legs": lambda of: fact_talk.legs_reply(of),
        "home": lambda of: fact_talk.home_reply(of),
        "food": lambda of: fact_talk.food_reply(of),
        "fly": lambda of: fact_talk.fly_reply(of),
    }
    checked = 0
    for check in (p["check"] for p in PROMPTS):
        if check["kind"] == "sum":
            assert evaluation.CHECKERS["sum"](fact_talk.sum_reply(check["a"], check["b"]) + ".", check)
        if check["kind"] == "neighbour":
            assert evaluation.CHECKERS["neighbour"](fact_talk.neighbour_reply(check["of"], check["step"]), check)
        if check["kind"] in taught:
            assert evaluation.CHECKERS[check["kind"]](taught[check["kind"]](check["of"]), check), check
            checked += 1
    assert checked > 60


def test_screens_find_empty_cut_and_repeating_replies() -> None:
    assert evaluation.obvious_fault("") == "empty"
    assert evaluation.obvious_fault("Once there was a") == "cut off"
    assert evaluation.obvious_fault("I am a cat, " * 6 + "yes.") == "repeats itself"
    assert evaluation.obvious_fault("Hello! How can I help you?") is None


def test_an_unjudged_reply_counts_as_not_sensible_and_is_collected() -> None:
    prompts = [{"id": "g-1", "topic": "greetings", "turns": ["hi"], "check": {"kind": "judged"}}]
    results = evaluation.run(prompts, lambda messages, temperature, seed: "Hello!", 0.5, 0, {})
    assert results[0].verdict is None
    assert evaluation.scores(results)["all"] == (0, 1)
    verdicts: evaluation.Verdicts = {}
    assert evaluation.collect(results, verdicts) == 1
    assert verdicts == {"g-1": {"Hello!": None}}
    judged = evaluation.run(
        prompts, lambda messages, temperature, seed: "Hello!", 0.5, 0, {"g-1": {"Hello!": "sensible"}}
    )
    assert evaluation.scores(judged)["greetings"] == (1, 1)
    assert evaluation.meets_targets(evaluation.scores(judged))


def test_prompts_of_two_turns_carry_the_models_own_first_reply() -> None:
    seen: list[list[str]] = []

    def reply(messages: evaluation.Messages, temperature: float, seed: int) -> str:
        seen.append([m["content"] for m in messages])
        return f"reply {len(messages)}"

    prompt = {
        "id": "m-1",
        "topic": "memory",
        "turns": ["I am Zed", "my name?"],
        "check": {"kind": "recall", "value": "Zed"},
    }
    (result,) = evaluation.run([prompt], reply, 0.5, 0, {})
    assert seen == [["I am Zed"], ["I am Zed", "reply 1", "my name?"]]
    assert result.verdict == "not"
    assert evaluation.as_markdown([result]).count("reply 3") == 1
