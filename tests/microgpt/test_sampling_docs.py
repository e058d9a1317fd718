"""The table of docs/sampling.md says what the declarations say."""

from dataclasses import Field, fields
from pathlib import Path

from microgpt.params import RANGES, SamplingParams

PAGE = Path(__file__).parent.parent.parent / "docs" / "sampling.md"


def declared(knob: Field) -> tuple[str, str]:
    return str(RANGES[knob.name]), knob.metadata["meaning"]


def rows() -> list[str]:
    shown = {"None": "none", "()": "none", "False": "false"}
    return [
        "| " + " | ".join((f"`{knob.name}`", shown.get(str(knob.default), str(knob.default)), *declared(knob))) + " |"
        for knob in fields(SamplingParams)
    ]


def test_the_table_of_knobs_is_that_of_the_declarations() -> None:
    table = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| `")]
    assert table == rows(), "the table should be:\n" + "\n".join(rows())
