"""The tables of fields in docs/api.md say what the bodies' models say."""

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from microgpt.params import BOUNDS
from serve.dialects.microgpt_v1 import DIALECT, TOP_LOGPROBS

API_MD = Path(__file__).parents[2] / "docs" / "api.md"


def table(path: str) -> dict[str, list[str]]:
    """The cells beside each name in the first table under a route's heading, by name."""
    section = API_MD.read_text("utf-8").split(f"\n## POST {path}\n")[1].split("\n## ")[0]
    rows: dict[str, list[str]] = {}
    for line in section.splitlines():
        if line.startswith("| `"):
            first, *rest = (cell.strip() for cell in line.strip("|").split("|"))
            for name in re.findall(r"`(\w+)`", first):
                assert name not in rows
                rows[name] = rest
        elif rows:
            break
    return rows


def default(model: type[BaseModel], name: str) -> str:
    """As the table writes it."""
    field = model.model_fields[name]
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if value in ([], {}):
        return "none"
    return str(value).lower() if isinstance(value, bool) else f"{value:g}"


@pytest.mark.parametrize("route", DIALECT.routes, ids=lambda route: route.path)
def test_the_table_has_the_fields_of_the_model_with_their_defaults(route) -> None:
    rows = table(route.path)
    assert set(rows) == set(route.request_model.model_fields)
    by_size = {"max_tokens"}  # its default depends on the model
    for name, (_, written, meaning) in rows.items():
        if meaning.startswith("as above"):
            assert not written
        elif name not in by_size:
            assert written == default(route.request_model, name), name


def test_ranges_are_those_of_the_declarations() -> None:
    [chat] = [route for route in DIALECT.routes if route.path.endswith("/chat")]
    rows, fields = table(chat.path), chat.request_model.model_fields
    ranges = BOUNDS | {"top_logprobs": TOP_LOGPROBS}
    checked = (set(rows) & set(ranges)) - {"seed", "max_tokens"}  # they have ranges of their own here
    assert len(checked) == 8
    for name in checked:
        written = str(ranges[name])
        assert rows[name][2].startswith(written.removeprefix("in ")), name
        assert written in (fields[name].description or ""), name
