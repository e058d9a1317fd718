"""`python -m serve`: load the checkpoint, listen, build the engine, serve until a signal, finish what was accepted.

Exit codes: 0 after SIGTERM or SIGINT, 1 if the server cannot start, 2 for bad settings.
"""

import asyncio
import contextlib
import dataclasses
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence

import uvicorn

from microgpt import Checkpoint, CheckpointError, EngineFault, MicrogptError, build_engine, load_checkpoint
from serve.access import configure_logging
from serve.app import build_app, model_card
from serve.engine_client import EngineClient
from serve.limits import RateLimiter, describe_rate
from serve.protocol import HttpProtocol, Sweeper, has_unread_data
from serve.service import Service
from serve.settings import Settings, SettingsError, in_given_names, is_loopback, load_settings, name_given

logger = logging.getLogger("serve")

INFO_SLOTS = 2**18  # at 100 a second a client needs its slot for a second after its last request
LINGER_S = 1.0  # open connections live on until they have been quiet for this long, so that requests get a 503
MAX_LINGER_S = 5.0  # however much comes
FLUSH_S = 5.0  # most that clients may take to read the ends of their answers
OPEN_WARNING = (
    "no key is set: whoever reaches this server may use all of it, and change its weights through the control routes; "
    "set API_KEY, or ADMIN_API_KEY for these routes alone"
)
_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # by the address that means all of a machine's, which browsers refuse
MAX_UNSENT_BYTES = 64 * 1024  # of an answer, in the system's memory; else 4 MiB for a client that does not read


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code."""
    argv = sys.argv[1:] if argv is None else argv
    try:
        settings = load_settings(argv)
        limiters = _limiters(settings)
    except SettingsError as error:
        return _refuse(str(error), 2)
    except ValueError as error:
        return _refuse(in_given_names(str(error), argv), 2)
    configure_logging(settings.log_format)
    _allow_many_connections()
    try:
        checkpoint = load_checkpoint(settings.model_dir)
    except CheckpointError as error:
        return _refuse(f"{name_given('model_dir', argv)}: {error}", 1)
    try:
        listener = _listen(settings.host, settings.port)
    except (OSError, UnicodeError) as error:  # UnicodeError: a host name that cannot be one
        reason = getattr(error, "strerror", None) or error
        where = in_given_names(f"HOST {settings.host}, PORT {settings.port}", argv)
        return _refuse(f"cannot listen on {where}: {reason}", 1)
    settings = dataclasses.replace(settings, port=listener.getsockname()[1])  # the one that PORT=0 has found
    with contextlib.closing(listener), asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(_serve(settings, argv, checkpoint, limiters, listener))


def _limiters(settings: Settings) -> tuple[RateLimiter, RateLimiter]:
    """Of what generates, and of everything else. Raises ValueError."""
    rate, info_rate, proxies = settings.rate_limit, settings.rate_limit_info, settings.trusted_proxies
    info_burst = info_rate[0] if info_rate else 1
    return (
        RateLimiter(rate, settings.rate_burst, proxies),
        RateLimiter(info_rate, info_burst, proxies, num_slots=INFO_SLOTS, name="info"),
    )


async def _serve(
    settings: Settings,
    argv: Sequence[str],
    checkpoint: Checkpoint,
    limiters: tuple[RateLimiter, RateLimiter],
    listener: socket.socket,
) -> int:
    """Serve on `listener` until a signal or until the engine cannot be built; the exit code."""
    client = EngineClient(
        lambda: build_engine(
            checkpoint,
            device=settings.device,
            dtype=settings.dtype,
            rng=settings.rng,
            backend=settings.backend,
            threads=settings.threads or None,
        ),
        max_queue=settings.max_queue,
    )
    service = Service(
        checkpoint,
        client,
        max_bodies_bytes=settings.max_bodies_bytes,
        parse_special=settings.parse_special,
        incremental_streams=settings.incremental_streaming_output,
    )
    app = build_app(settings, service, *limiters)
    stopping = _stop_on_signals(app.flush_log)
    server = _Server(_uvicorn_config(app))
    url, others = _url(settings, listener), _other_addresses(listener)
    _announce(f"loading {settings.model_dir}, listening on {url}{others}")
    if settings.is_open:
        logger.warning(OPEN_WARNING)
    client.start()
    connections = server.server_state.connections
    sweeper = Sweeper(connections, settings.receive_timeout_s, settings.keep_alive_timeout_s)
    sweeper.start()
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    built, stopped = asyncio.create_task(client.built()), asyncio.create_task(stopping.wait())
    await asyncio.wait((built, stopped, serving), return_when=asyncio.FIRST_COMPLETED)
    code = 0
    if built.done():
        if (error := built.exception()) is None:
            _spare_collector()
            _announce(_banner(settings, service, url, others))
            await asyncio.wait((stopped, serving), return_when=asyncio.FIRST_COMPLETED)
        else:
            # What microgpt raises on purpose says what to do; anything else needs its traceback.
            code = _refuse(f"cannot build the engine: {in_given_names(str(error), argv)}", 1)
            if not isinstance(error, MicrogptError):
                logger.error("building the engine failed", exc_info=error)
    await _drain(server, service, listener, settings.shutdown_grace_s)
    await serving
    sweeper.stop()
    built.cancel()
    stopped.cancel()
    if not service.close() or not built.done():
        # A thread is deep inside imports or a huge body, and would hold up the end: there is nothing to lose with it.
        app.flush_log()
        os._exit(code)
    return code


async def _drain(server: "_Server", service: Service, listener: socket.socket, grace_s: float) -> None:
    """Finish accepted requests, refusing new ones; then close everything."""
    service.draining = True
    if service.paused:
        with contextlib.suppress(EngineFault):
            await service.resume()
    try:
        async with asyncio.timeout(grace_s):
            await service.idle()
    except TimeoutError:
        logger.warning("requests still running after %g s of grace were given up", grace_s)
    await service.client.stop()  # what still runs ends with an error, which is sent below
    if server.started:
        await server.stop_listening(listener)
    await server.linger()
    server.should_exit = True


class _Server(uvicorn.Server):
    """uvicorn, with signals left to us: its own handling ends the process by the signal, not with exit code 0."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def stop_listening(self, listener: socket.socket) -> None:
        """New connections are refused from now on; the open ones live on, those not yet taken included.

        Closing resets whatever waits in the kernel's queue, a dozen connections under load, so it is emptied first.
        """
        taken = []
        with contextlib.suppress(BlockingIOError):
            while True:
                taken.append(listener.accept()[0])
        for server in self.servers:
            server.close()
        config, state = self.config, self.server_state
        for connection in taken:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: config.http_protocol_class(config=config, server_state=state, app_state={}),  # pyright: ignore
                connection,
            )

    async def linger(self) -> None:
        """Answer what still comes on open connections until they are quiet, then close them.

        A connection on which a request waits unread is not closed: its client would see it break. Both matter on a
        busy machine, where clients take their time and this process may have slept through what they sent.
        """
        state, now = self.server_state, asyncio.get_running_loop().time
        quiet_since, num_requests, end = now(), state.total_requests, now() + MAX_LINGER_S
        while state.connections and now() < end:
            await asyncio.sleep(0.02)
            if state.total_requests != num_requests or any(map(has_unread_data, state.connections)):
                quiet_since, num_requests = now(), state.total_requests
            elif now() - quiet_since > LINGER_S:
                break
        for connection in list(state.connections):
            connection.shutdown()


def _uvicorn_config(app: object) -> uvicorn.Config:
    return uvicorn.Config(
        app,  # pyright: ignore[reportArgumentType]
        http=HttpProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,  # ours has ids, tokens and durations
        proxy_headers=False,  # who the client is, is for the rate limiter to say
        server_header=False,
        timeout_graceful_shutdown=int(FLUSH_S),
    )


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop where there is one, as uvicorn chooses it."""
    return uvicorn.Config("", loop="auto", log_config=None).get_loop_factory()


def _stop_on_signals(last_act: Callable[[], None]) -> asyncio.Event:
    """An event that the first SIGTERM or SIGINT sets; a second one ends the process at once, after `last_act`."""
    stopping = asyncio.Event()

    def stop(signal_number: int) -> None:
        if stopping.is_set():
            last_act()
            os._exit(128 + signal_number)
        logger.info("%s: finishing what was accepted", signal.Signals(signal_number).name)
        stopping.set()

    for signal_number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signal_number, stop, signal_number)
    return stopping


def _spare_collector() -> None:
    """Let garbage collections pass over what is there for good, and come less often.

    They took 7 % of a small request's CPU, and each full one 60 ms, in which nobody was answered. What requests leave
    behind is freed by counting references; the collector is for the few cycles that errors make.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def _allow_many_connections() -> None:
    """Raise the number of files that may be open, where the system has such limits, as far as we may."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _listen(host: str, port: int) -> socket.socket:
    """A bound socket on the first address of `host`. Raises OSError."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "TCP_NOTSENT_LOWAT"):  # its connections inherit it
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, MAX_UNSENT_BYTES)
        listener.bind(address)
        listener.listen(2048)  # now: with SO_REUSEADDR two servers could bind, but only one can listen
    except OSError:
        listener.close()
        raise
    return listener


def _url(settings: Settings, listener: socket.socket) -> str:
    """An address of the server for a browser on this machine, which the guard of names lets through."""
    host, port = listener.getsockname()[:2]
    host = _LOOPBACK.get(host) or host
    if settings.allowed_hosts and not (is_loopback(settings.host) or {host, "*"} & set(settings.allowed_hosts)):
        host = settings.allowed_hosts[0]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _other_addresses(listener: socket.socket) -> str:
    """What to say behind the URL where the server listens on more than it."""
    return " and all other addresses of this machine" if listener.getsockname()[0] in _LOOPBACK else ""


def _banner(settings: Settings, service: Service, url: str, others: str) -> str:
    """The model card, where it runs, the limits, and a line to paste."""
    card, engine = model_card(service), service.client.engine
    assert engine is not None
    backend = engine.backend
    rate = "off"
    if settings.rate_limit is not None:
        rate = f"{describe_rate(*settings.rate_limit)} per client, burst {settings.rate_burst}"
    path, body = "/microgpt/v1/generate", '{"num_samples": 5}'
    if card.chat:
        path, body = "/microgpt/v1/chat", '{"messages": [{"role": "user", "content": "Hello!"}]}'
    headers = "-H 'Content-Type: application/json'"
    if settings.api_key:
        headers += ' -H "Authorization: Bearer $API_KEY"'  # never the key itself
    return "\n".join(
        [
            f"microgpt serves {settings.model_dir}",
            f"  model    {card.parameters:,} parameters, vocabulary {card.vocab_size:,}, context {card.context}, "
            + ("chat" if card.chat else "no chat"),
            f"  runs on  {backend.device} in {backend.dtype}, up to {backend.num_slots} sequences at once",
            f"  limits   {rate}; queue of {settings.max_queue} sequences; bodies up to {settings.max_body_bytes:,} "
            f"bytes; {settings.request_timeout_s:g} s per request",
            f"  url      {url}{others}",
            f"  try      curl {url}{path} {headers} -d '{body}'",
        ]
    )


def _announce(text: str) -> None:
    """Print for whoever watches; a reader that has gone is no reason to stop."""
    try:
        print(text, flush=True)
    except OSError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - else the interpreter fails to flush it at the end


def _refuse(message: str, code: int) -> int:
    print(message, file=sys.stderr, flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
