"""What a request costs at least in FastAPI: an endpoint with a pydantic body and answer that does nothing.

python -m bench.bare_endpoint says where it listens and serves until it is killed. uvicorn is set up as for our server,
which writes a line to its log for each request by itself; with the argument `logging`, uvicorn does that here.
"""

import copy
import socket
import sys

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from uvicorn.config import LOGGING_CONFIG

from microgpt.params import MAX_SEED


class Body(BaseModel):
    """The fields of /microgpt/v1/generate."""

    temperature: float = 0.5
    seed: int = MAX_SEED
    max_tokens: int | None = None
    top_k: int = 0
    top_p: float = 1.0
    stream: bool = False
    num_samples: int = 1


class Answer(BaseModel):
    samples: list[str]


app = FastAPI()


@app.post("/microgpt/v1/generate")
async def generate(body: Body) -> Answer:
    """As long as a real answer."""
    return Answer(samples=["a" * (body.max_tokens or 1)])


def main() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    is_logging = sys.argv[1:] == ["logging"]
    log_config = copy.deepcopy(LOGGING_CONFIG)
    log_config["handlers"]["access"]["stream"] = "ext://sys.stderr"  # nobody reads what comes after the next line
    print(f"listening on http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=log_config if is_logging else None,
        access_log=is_logging,
        proxy_headers=False,
        server_header=False,
    )
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
