"""Cases that schemathesis makes up from the server's own OpenAPI document: whatever comes, no answer is a 5xx.

FUZZ_CASES=5000 is what docs/reliability.md speaks of; FUZZ_SEED is where the cases begin.
"""

import contextlib
import os
from collections import Counter

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


def fuzz(
    operation: APIOperation, mode: GenerationMode, count: int, session: requests.Session, statuses: Counter[int]
) -> None:
    """Send up to `count` cases, adding to `statuses`; hypothesis shortens the first that is a 5xx."""

    @hypothesis.seed(FUZZ_SEED)
    @hypothesis.settings(max_examples=count, database=None, deadline=None, suppress_health_check=SLOW)
    @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Case) -> None:
        answer = case.call(session=session)
        if operation.path == PAUSE:
            session.post(operation.base_url.rstrip("/") + "/continue_generation", json={}).raise_for_status()
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
        for operation in operations:
            statuses = found[operation.label] = Counter()
            fuzz(operation, GenerationMode.POSITIVE, 1, session, statuses)
        for operation in varied:
            for mode in GenerationMode:
                fuzz(operation, mode, -(-FUZZ_CASES // (2 * len(varied))), session, found[operation.label])
        assert requests.get(f"{server.url}/health").status_code == 200
        assert "Traceback" not in "".join(server.err)
    total = sum(map(Counter.total, found.values()))
    print(f"\n{total} cases:")
    for label, statuses in found.items():
        print(f"{label}: " + ", ".join(f"{count} times {status}" for status, count in sorted(statuses.items())))
    assert total >= FUZZ_CASES
