"""docs/api.md lists every field of /generate, as what it is."""

import re
from pathlib import Path

from serve.dialects.sglang.generate import REFUSED
from serve.dialects.sglang.schema import GenerateFields, SamplingFields

API_MD = (Path(__file__).parents[3] / "docs" / "api.md").read_text("utf-8")


def fields(heading: str) -> dict[str, str]:
    """What the last column of the table under a heading says, by field."""
    table = API_MD.split(f"\n### {heading}\n")[1].split("\n### ")[0]
    found = {}
    for line in table.splitlines():
        if line.startswith("| `"):
            names, *_, status = (cell.strip() for cell in line.strip("|").split("|"))
            found |= dict.fromkeys(re.findall(r"`(\w+)`", names), status)
    return found


def test_every_field_is_there() -> None:
    body, sampling = fields("The body"), fields("sampling_params")
    assert set(body) == set(GenerateFields.__annotations__)
    assert set(sampling) == set(SamplingFields.__annotations__)
    assert {name for name, status in body.items() if status.startswith("refused")} == set(REFUSED)
    assert all(status.startswith(("done", "ours", "ignored", "refused")) for status in (body | sampling).values())
