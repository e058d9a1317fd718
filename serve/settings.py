"""Settings: read once from the environment and the command line (which wins), checked, frozen, passed on as values.

Each is declared once, below, as a field: PORT in the environment and --port on the command line are `port` here.
"""

import argparse
import os
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any
from urllib.parse import urlsplit

from microgpt.backends import BACKENDS, DEVICES, DTYPES, RNGS

NS_PER_S = 10**9
UNIT_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
_RATE = re.compile(
    r"([1-9][0-9]{0,8}) *(?:/|per\b) *([1-9][0-9]{0,5})? *(second|minute|hour|day)s?", re.ASCII | re.IGNORECASE
)
_HOST = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?", re.ASCII)


_SECRET = re.compile(r"[!-~]{1,1024}", re.ASCII)
AUTO = "auto"
AUTO_RATE_LIMIT = (5, NS_PER_S)
AUTO_RATE_LIMIT_INFO = (100, NS_PER_S)


class SettingsError(Exception):
    """Values that cannot be used, all of them: one line each, naming the setting, what it takes, and the value."""


def parse_rate(text: str) -> tuple[int, int] | None:
    """(requests, period in ns) of `5/second`, `30 per minute`, `1/5 seconds`; None for `off`. Raises ValueError."""
    if text.strip().lower() == "off":
        return None
    match = _RATE.fullmatch(text.strip())
    if match is None:
        raise ValueError
    amount, count, unit = match.groups()
    return int(amount), int(count or 1) * UNIT_SECONDS[unit.lower()] * NS_PER_S


def is_loopback(host: str) -> bool:
    """Whether a host name or address (without a port) can only mean the machine itself."""
    try:
        address = ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return host.lower().removesuffix(".") == "localhost"
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def _setting(default: str | None, parse: Callable[[str], Any], expects: str, meaning: str) -> Any:
    """default: as it would be given; None: absent, which is None."""
    return field(metadata={"default": default, "parse": parse, "expects": expects, "meaning": meaning})


def _secret(meaning: str) -> Any:
    """Never shown: neither in messages nor by repr. An empty one is refused, for it would leave the door open."""

    def parse(text: str) -> str:
        if not _SECRET.fullmatch(text):
            raise ValueError
        return text

    expects = "1 to 1024 visible ASCII characters"
    metadata = {"default": None, "parse": parse, "expects": expects, "meaning": meaning, "secret": True}
    return field(repr=False, metadata=metadata)


def _rate(automatic: tuple[int, int], meaning: str) -> Any:
    """`auto` becomes `automatic`, or off where all clients are on this machine."""
    text = f"{automatic[0]}/second"
    return _setting(
        AUTO,
        lambda text: AUTO if text.strip().lower() == AUTO else parse_rate(text),
        f"like {text}, off, or auto, which is {text} unless HOST is a loopback name or address and "
        "TRUSTED_PROXIES is empty",
        meaning,
    )


def _choice(default: str, choices: Sequence[str], meaning: str) -> Any:
    return _setting(default, lambda text: choices[choices.index(text)], f"one of {', '.join(choices)}", meaning)


def _switch(default: str, meaning: str) -> Any:
    """Its flag without a value means on."""
    return _setting(default, lambda text: bool(("off", "on").index(text)), "one of off, on", meaning)


def _integer(default: int, low: int, high: int | None, meaning: str) -> Any:
    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,18}", text) or int(text) < low or (high is not None and int(text) > high):
            raise ValueError
        return int(text)

    expects = f"an integer >= {low}" if high is None else f"an integer in [{low}, {high}]"
    return _setting(str(default), parse, expects, meaning)


def _seconds(default: str, low: float, expects: str, meaning: str) -> Any:
    def parse(text: str) -> float:
        if not low <= (value := float(text)) <= 86400:
            raise ValueError
        return value

    return _setting(default, parse, expects, meaning)


def _items(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]


def _text(text: str) -> str:
    if not text or text != text.strip():
        raise ValueError  # an empty host would silently mean every interface, an empty path the current directory
    return text


def _networks(text: str) -> tuple[IPv4Network | IPv6Network, ...]:
    return tuple(ip_network(item) for item in _items(text))


def _hosts(text: str) -> tuple[str, ...]:
    hosts = [item.lower() for item in _items(text)]
    if not all(item == "*" or _HOST.fullmatch(item) or ip_address(item.strip("[]")) for item in hosts):
        raise ValueError
    return tuple(item.strip("[]") for item in hosts)


def _origins(text: str) -> tuple[str, ...]:
    for origin in _items(text):
        parts = urlsplit(origin)
        if origin != "*" and not (parts.scheme and origin == f"{parts.scheme}://{parts.netloc}" and parts.netloc):
            raise ValueError
    return tuple(_items(text))


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that can be set about a server."""

    model_dir: str = _setting("output", _text, "a directory", "model directory to serve")
    host: str = _setting("127.0.0.1", _text, "a host name or address", "address to listen on")
    port: int = _integer(8080, 0, 65535, "port to listen on; 0 picks a free one")
    device: str = _choice("auto", DEVICES, "where the model runs; auto takes CUDA if there is one")
    dtype: str = _choice(
        "float32",
        DTYPES,
        "number format; on a CPU the 16-bit ones are of weights alone, int8 of weights, keys and values, "
        "w8a8 of activations, too",
    )
    backend: str = _choice("auto", BACKENDS, "what computes; auto is numba on a CPU, torch on CUDA")
    threads: int = _integer(0, 0, 64, "threads of the numba backend; 0: one a core")
    rng: str = _choice("default", RNGS, "random generator; reference reproduces the original implementation")
    rate_limit: tuple[int, int] | None = _rate(
        AUTO_RATE_LIMIT, "requests per client address, over all generating routes"
    )
    rate_burst: int = _integer(10, 1, None, "requests that a rested client may send at once")
    rate_limit_info: tuple[int, int] | None = _rate(
        AUTO_RATE_LIMIT_INFO,
        "requests per client address to all other routes but /health, /ready and /metrics; so many at once, too",
    )
    api_key: str | None = _secret(
        "key that requests must bear (Authorization: Bearer KEY), but for probes, metrics and the page's files"
    )
    admin_api_key: str | None = _secret("key that requests to change the server must bear in its place")
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = _setting(
        "", _networks, "addresses or networks, separated by commas", "proxies whose X-Forwarded-For is believed"
    )
    cors_origins: tuple[str, ...] = _setting(
        "",
        _origins,
        "origins like https://example.org, separated by commas, or *",
        "whose pages may call from browsers",
    )
    allowed_hosts: tuple[str, ...] = _setting(
        "",
        _hosts,
        "host names or addresses without ports, separated by commas, or *",
        "names that Host may have besides the loopback ones, which alone it may have if HOST is one; * is any",
    )
    max_body_bytes: int = _integer(4 * 2**20, 1, None, "largest request body")
    max_bodies_bytes: int = _integer(
        64 * 2**20, 1, None, "most bytes of large request bodies held at once, those of all connections together"
    )
    max_queue: int = _integer(
        256, 1, None, "most sequences running or waiting: each sample counts one, an eighth is kept for requests of one"
    )
    request_timeout_s: float = _seconds("60", 0.001, "seconds in (0, 86400]", "longest a request may take")
    receive_timeout_s: float = _seconds(
        "10", 0.1, "seconds in [0.1, 86400]", "longest that a request may take to arrive, or a connection to send one"
    )
    keep_alive_timeout_s: float = _seconds(
        "60", 0.1, "seconds in [0.1, 86400]", "how long an answered connection may wait for its next request"
    )
    shutdown_grace_s: float = _seconds("30", 0, "seconds in [0, 86400]", "how long SIGTERM waits for running requests")
    parse_special: bool = _switch(
        "on", "whether special tokens are seen in prompts that clients have rendered; in messages they never are"
    )
    incremental_streaming_output: bool = _switch(
        "off", "whether the streams of /generate send what is new alone, not all so far in every event"
    )
    log_format: str = _choice("text", ("text", "json"), "format of the log on standard error")
    log_prompts: bool = _switch("off", "whether the log shows prompts and replies, 1000 characters of each")

    @property
    def is_local(self) -> bool:
        """Whether all clients are on this machine."""
        return _is_local(self.host, self.trusted_proxies)

    @property
    def is_open(self) -> bool:
        """Whether others can reach the routes that change the server, and need no key for them."""
        return not (self.is_local or self.api_key or self.admin_api_key)


def load_settings(argv: Sequence[str], environ: Mapping[str, str] | None = None) -> Settings:
    """Settings from flags, else the environment (the process's own by default), else the defaults.

    Raises SettingsError with every bad value. Exits for --help and unknown flags, as argparse does.
    """
    environ = os.environ if environ is None else environ
    flags = vars(_parser().parse_args(argv))
    values, problems = {}, []
    for setting in fields(Settings):
        variable, text = setting.name.upper(), flags[setting.name]
        if text is None:
            text = environ.get(variable, setting.metadata["default"])
        try:
            values[setting.name] = None if text is None else setting.metadata["parse"](text)
        except ValueError:
            got = "another value" if "secret" in setting.metadata else repr(text)
            problems.append(f"{name_given(setting.name, argv)} must be {setting.metadata['expects']}, got {got}")
    if not problems and (room := values["max_bodies_bytes"]) < (least := values["max_body_bytes"]):
        problems.append(in_given_names(f"MAX_BODIES_BYTES must be >= MAX_BODY_BYTES ({least}), got {room}", argv))
    if problems:
        raise SettingsError("\n".join(problems))
    for name, rate in (("rate_limit", AUTO_RATE_LIMIT), ("rate_limit_info", AUTO_RATE_LIMIT_INFO)):
        if values[name] == AUTO:
            values[name] = None if _is_local(values["host"], values["trusted_proxies"]) else rate
    return Settings(**values)


def _is_local(host: str, trusted_proxies: Sequence[object]) -> bool:
    return is_loopback(host) and not trusted_proxies


def name_given(name: str, argv: Sequence[str]) -> str:
    """What whoever set a setting knows it by: its flag if `argv` has that, else its variable in the environment."""
    flag = "--" + name.replace("_", "-")
    return flag if any(word.partition("=")[0] == flag for word in argv) else name.upper()


def in_given_names(message: str, argv: Sequence[str]) -> str:
    """A message in which settings, those in capitals and one in small letters at the beginning, go by `name_given`; not
    what looks like one within a path or a name."""

    def given(found: re.Match[str]) -> str:
        return name_given(found[0].lower(), argv) if found[0].lower() in Settings.__slots__ else found[0]

    return re.sub(r"\A[a-z_]+\b|(?<![\w./-])[A-Z_]+(?![\w/-]|\.\w)", given, message)


def public_values(settings: Settings) -> dict[str, Any]:
    """Every setting but the secrets, as JSON has it; rates as `parse_rate` takes them."""
    found = {}
    for setting in fields(settings):
        value = getattr(settings, setting.name)
        if "secret" in setting.metadata:
            continue
        if setting.name in ("rate_limit", "rate_limit_info"):
            value = (
                "off"
                if value is None
                else f"{value[0]}/{value[1] // NS_PER_S} seconds".replace("/1 seconds", "/second")
            )
        elif isinstance(value, tuple):
            value = [str(item) for item in value]
        found[setting.name] = value
    return found


def launch_command(settings: Settings) -> str:
    """A command that starts a server with these settings, but for the secrets."""
    flags = []
    usual = public_values(load_settings([], {}))
    for name, value in public_values(settings).items():
        if value != usual[name]:
            if isinstance(value, bool):
                value = "on" if value else "off"
            elif isinstance(value, list):
                value = ",".join(value)
            flags.append(f"--{name.replace('_', '-')}={value}")
    return shlex.join(["python", "-m", "serve", *flags])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m serve",
        description="Serve a microgpt checkpoint over HTTP.",
        epilog="Each setting can also come from the environment, by the name in brackets; flags win.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--no-parse-special",
        dest="parse_special",
        action="store_const",
        const="off",
        help="the same as --parse-special off",
    )
    for setting in fields(Settings):
        info = setting.metadata
        default = info["default"] or "none"
        is_switch = setting.type is bool
        parser.add_argument(
            "--" + setting.name.replace("_", "-"),
            metavar="VALUE",
            nargs="?" if is_switch else None,
            const="on" if is_switch else None,
            help=f"{info['meaning']}: {info['expects']} [{setting.name.upper()}, default {default}]".replace("%", "%%"),
        )
    return parser
