"""Cases that schemathesis makes up from the server's own OpenAPI document: whatever comes, no answer is a 5xx.

FUZZ_CASES=5000 is what docs/reliability.md speaks of; FUZZ_SEED is where the cases begin.
"""

import contextlib
import os
from collections import Counter
from collections.abc import Callable
from typing import Any

import hypothesis
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck
from hypothesis.errors import Unsatisfiable
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.core.result import Ok

from tests.conftest import MakeModel
from tests.serve.server_process import server_process

FUZZ_CASES = int(os.environ.get("FUZZ_CASES", "1000"))
FUZZ_SEED = int(os.environ.get("FUZZ_SEED", "0"))
PAUSE = "/pause_generation"  # whatever comes after it would wait
SLOW = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much, HealthCheck.large_base_example)

Body = dict[str, Any]


def mended_generate(body: Body) -> Body:
    """A prompt, and few enough of the fields that change something for all of them to be right now and then."""
    sampling = body.get("sampling_params")
    knobs = dict(list(sampling.items())[:2]) if isinstance(sampling, dict) else {}
    return {
        **dict([(name, value) for name, value in body.items() if name in WORKING_FIELDS][:2]),
        "text": "abc def",
        "sampling_params": {"max_new_tokens": 8, **knobs},
    }


WORKING_FIELDS = (
    "stream", "return_logprob", "logprob_start_len", "top_logprobs_num", "token_ids_logprob", "return_text_in_logprobs",
    "return_prompt_token_ids", "rid", "extra_key", "cache_salt", "add_special_tokens",
)  # fmt: skip
# How cases become ones that get past the first checks, for routes whose schema cannot say what these ask for.
MENDED: dict[str, Callable[[Body], Body]] = {
    "/generate": mended_generate,
    "/v1/score": lambda body: {**body, "query": "ab", "items": ["c", "d"], "label_token_ids": [1, 2], "temperature": 1},
    "/get_weights_by_name": lambda body: {**body, "name": "wte"},
}


def as_it_is(body: Body) -> Body:
    return body


def fuzz(
    operation: APIOperation,
    mode: GenerationMode,
    mend: Callable[[Body], Body],
    count: int,
    session: requests.Session,
    statuses: Counter[int],
) -> None:
    """Send up to `count` cases, adding to `statuses`; hypothesis shortens the first that is a 5xx."""

    @hypothesis.seed(FUZZ_SEED)
    @hypothesis.settings(max_examples=count, database=None, deadline=None, suppress_health_check=SLOW)
    @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Case) -> None:
        if isinstance(case.body, dict):
            case.body = mend(case.body)
        answer = case.call(session=session)
        if operation.path == PAUSE:
            session.post(str(operation.base_url).rstrip("/") + "/continue_generation", json={}).raise_for_status()
        statuses[answer.status_code] += 1
        assert answer.status_code < 500, f"{answer.status_code} {answer.content[:500]}: {case.as_curl_command()}"

    with contextlib.suppress(Unsatisfiable):  # no case is wrong: a path may be any text
        ask()


@pytest.mark.slow
@pytest.mark.timeout(120 + FUZZ_CASES / 10)
def test_schemathesis_finds_no_5xx(make_model: MakeModel):
    found: dict[str, Counter[int]] = {}
    with server_process(make_model()) as server, requests.Session() as session:
        schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
        operations = [result.ok() for result in schema.get_all_operations() if isinstance(result, Ok)]
        assert len(operations) == sum(map(len, schema.raw_schema["paths"].values()))
        # Without a body or parameters there is one case, and no way for it to be wrong.
        varied = [operation for operation in operations if operation.body or list(operation.iter_parameters())]
        runs: list[tuple[Any, GenerationMode, Callable[[Any], Any]]] = [
            (operation, mode, as_it_is) for operation in varied for mode in GenerationMode
        ]
        for operation in varied:
            if operation.path in MENDED:
                runs.append((operation, GenerationMode.POSITIVE, MENDED[operation.path]))
        for operation in operations:
            statuses = found[operation.label] = Counter()
            fuzz(operation, GenerationMode.POSITIVE, as_it_is, 1, session, statuses)
        count = FUZZ_CASES // len(runs) + FUZZ_CASES // 200  # there are not as many wrong cases of each
        for operation, mode, mend in runs:
            fuzz(operation, mode, mend, count, session, found[operation.label])
        assert requests.get(f"{server.url}/health").status_code == 200
        assert "Traceback" not in "".join(server.err)
    total = sum(map(Counter.total, found.values()))
    print(f"\n{total} cases:")
    for label, statuses in found.items():
        print(f"{label}: " + ", ".join(f"{count} times {status}" for status, count in sorted(statuses.items())))
    assert total >= FUZZ_CASES
