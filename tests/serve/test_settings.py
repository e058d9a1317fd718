"""Settings: flags beat the environment beats the defaults; every bad value stops the start, all named at once."""

import json
import re
import subprocess
import sys
from dataclasses import FrozenInstanceError, fields
from ipaddress import ip_network
from pathlib import Path

import pytest

from serve.settings import (
    NS_PER_S,
    Settings,
    SettingsError,
    in_given_names,
    load_settings,
    name_given,
    parse_rate,
    public_values,
)

README = Path(__file__).parents[2] / "README.md"


def test_defaults():
    settings = load_settings([], {})
    assert settings == Settings(
        model_dir="output", host="127.0.0.1", port=8080, device="auto", dtype="float32", backend="auto", threads=0,
        rng="default",
        rate_limit=None, rate_burst=10, rate_limit_info=None, api_key=None, admin_api_key=None,
        trusted_proxies=(), cors_origins=(), allowed_hosts=(),
        max_body_bytes=4 * 2**20, max_bodies_bytes=64 * 2**20, max_queue=256, request_timeout_s=60.0,
        receive_timeout_s=10.0, keep_alive_timeout_s=60.0, shutdown_grace_s=30.0, parse_special=True,
        log_format="text", log_prompts=False, incremental_streaming_output=False,
    )  # fmt: skip
    with pytest.raises(FrozenInstanceError):
        settings.port = 1  # pyright: ignore[reportAttributeAccessIssue]


def test_the_flag_of_a_switch_alone_means_on():
    assert load_settings(["--incremental-streaming-output", "--log-prompts", "off"], {}).incremental_streaming_output


def test_every_setting_can_come_from_either_side_and_flags_win():
    values = {
        "MODEL_DIR": ("a", "b"), "HOST": ("::1", "0.0.0.0"), "PORT": ("1", "65535"), "DEVICE": ("cpu", "cuda"),
        "DTYPE": ("float64", "bfloat16"), "RNG": ("reference", "default"), "RATE_LIMIT": ("off", "1/2 seconds"),
        "RATE_BURST": ("1", "2"), "TRUSTED_PROXIES": ("10.0.0.0/8, ::1", ""), "CORS_ORIGINS": ("*", "http://a:1"),
        "MAX_BODY_BYTES": ("10", "11"), "MAX_QUEUE": ("3", "4"), "REQUEST_TIMEOUT_S": ("0.5", "2"),
        "SHUTDOWN_GRACE_S": ("0", "1"), "LOG_FORMAT": ("json", "text"),
        "ALLOWED_HOSTS": ("Chat.Example.org, [::1]", "*"), "MAX_BODIES_BYTES": ("10", "11"),
        "RECEIVE_TIMEOUT_S": ("0.5", "2"), "KEEP_ALIVE_TIMEOUT_S": ("0.5", "2"), "LOG_PROMPTS": ("on", "off"),
        "BACKEND": ("numba", "torch"), "THREADS": ("1", "2"), "RATE_LIMIT_INFO": ("1/day", "off"),
        "API_KEY": ("a", "b"), "ADMIN_API_KEY": ("c", "d"), "PARSE_SPECIAL": ("off", "on"),
        "INCREMENTAL_STREAMING_OUTPUT": ("on", "off"),
    }  # fmt: skip
    assert {name.lower() for name in values} == {field.name for field in fields(Settings)}
    environ = {name: pair[0] for name, pair in values.items()}
    flags = [f"--{name.lower().replace('_', '-')}={pair[1]}" for name, pair in values.items()]
    from_environ, from_flags = load_settings([], environ), load_settings(flags, {})
    assert load_settings(flags, environ) == from_flags
    assert all(getattr(from_environ, name.lower()) != getattr(from_flags, name.lower()) for name in values)
    assert from_environ.trusted_proxies == (ip_network("10.0.0.0/8"), ip_network("::1/128"))
    assert from_environ.allowed_hosts == ("chat.example.org", "::1")
    assert from_flags.rate_limit == (1, 2 * NS_PER_S)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MODEL_DIR", ""), ("HOST", ""), ("HOST", " 127.0.0.1"), ("PORT", "http"), ("PORT", "65536"), ("PORT", "-1"),
        ("PORT", ""), ("PORT", "٣"), ("DEVICE", "gpu"), ("DTYPE", "int4"), ("BACKEND", "jax"), ("THREADS", "-1"),
        ("RNG", "random"), ("RATE_LIMIT", "5"),
        ("RATE_LIMIT", "5/fortnight"), ("RATE_LIMIT", "0/second"), ("RATE_LIMIT", "5/second;1/minute"),
        ("RATE_LIMIT", "-1/second"), ("RATE_BURST", "0"), ("TRUSTED_PROXIES", "localhost"),
        ("TRUSTED_PROXIES", "10.0.0.1/8"), ("CORS_ORIGINS", "example.org"), ("CORS_ORIGINS", "https://a/"),
        ("CORS_ORIGINS", "http://a, b"), ("MAX_BODY_BYTES", "4MiB"), ("MAX_QUEUE", "0"), ("REQUEST_TIMEOUT_S", "0"),
        ("ALLOWED_HOSTS", "http://a"), ("ALLOWED_HOSTS", "a:80"), ("ALLOWED_HOSTS", "a, -b"), ("ALLOWED_HOSTS", "[a]"),
        ("MAX_BODIES_BYTES", "0"), ("RECEIVE_TIMEOUT_S", "0"), ("KEEP_ALIVE_TIMEOUT_S", "inf"),
        ("REQUEST_TIMEOUT_S", "nan"), ("REQUEST_TIMEOUT_S", "inf"), ("SHUTDOWN_GRACE_S", "-1"), ("LOG_FORMAT", "xml"),
        ("LOG_PROMPTS", "yes"), ("PARSE_SPECIAL", "no"), ("RATE_LIMIT_INFO", "auto/second"),
    ],
)  # fmt: skip
def test_bad_value_names_variable_expectation_and_value(name: str, value: str):
    with pytest.raises(SettingsError) as caught:
        load_settings([], {name: value})
    assert re.fullmatch(rf"{name} must be .+, got {re.escape(repr(value))}", str(caught.value))
    flag = "--" + name.lower().replace("_", "-")
    with pytest.raises(SettingsError, match=f"^{flag} must be "):
        load_settings([f"{flag}={value}"], {})


@pytest.mark.parametrize("name", ["API_KEY", "ADMIN_API_KEY"])
@pytest.mark.parametrize("value", ["", " ", "two words", "naïve", "tab\t", "x" * 1025])
def test_bad_keys_are_refused_without_being_shown(name: str, value: str):
    with pytest.raises(SettingsError) as caught:
        load_settings([], {name: value})
    assert str(caught.value) == f"{name} must be 1 to 1024 visible ASCII characters, got another value"


def test_keys_are_not_shown():
    settings = load_settings(["--api-key=secret1"], {"ADMIN_API_KEY": "secret2"})
    assert (settings.api_key, settings.admin_api_key) == ("secret1", "secret2")
    assert "secret" not in repr(settings)
    assert not {"api_key", "admin_api_key"} & set(public_values(settings))


def test_public_values_are_json_and_complete():
    settings = load_settings([], {"TRUSTED_PROXIES": "10.0.0.0/8", "RATE_LIMIT": "1/5 minutes", "HOST": "0.0.0.0"})
    values = json.loads(json.dumps(public_values(settings)))
    assert set(values) == {field.name for field in fields(Settings)} - {"api_key", "admin_api_key"}
    assert values["trusted_proxies"] == ["10.0.0.0/8"]
    for name in ("rate_limit", "rate_limit_info"):
        assert parse_rate(values[name]) == getattr(settings, name)


@pytest.mark.parametrize(
    ("environ", "is_limited"),
    [
        ({}, False),
        ({"HOST": "localhost"}, False),
        ({"HOST": "::1"}, False),
        ({"HOST": "0.0.0.0"}, True),
        ({"HOST": "192.0.2.1"}, True),
        ({"HOST": "127.0.0.1", "TRUSTED_PROXIES": "127.0.0.1"}, True),
    ],
)
def test_rate_limits_are_off_where_all_clients_are_local(environ: dict[str, str], is_limited: bool):
    settings = load_settings([], environ)
    expected = ((5, NS_PER_S), (100, NS_PER_S)) if is_limited else (None, None)
    assert (settings.rate_limit, settings.rate_limit_info) == expected
    explicit = load_settings([], {**environ, "RATE_LIMIT": "7/second", "RATE_LIMIT_INFO": "8/second"})
    assert (explicit.rate_limit, explicit.rate_limit_info) == ((7, NS_PER_S), (8, NS_PER_S))


def test_no_parse_special_is_parse_special_off():
    assert not load_settings(["--no-parse-special"], {}).parse_special
    assert load_settings([], {}).parse_special


def test_the_readme_has_every_setting():
    rows = {}
    for line in README.read_text("utf-8").splitlines():
        if match := re.fullmatch(r"\| ([A-Z_]+) \| `(--[a-z-]+)` \| (.+?) \| (.+) \|", line):
            rows[match[1]] = match.groups()[1:]
    assert rows == {
        setting.name.upper(): (
            "--" + setting.name.replace("_", "-"),
            f"`{setting.metadata['default']}`" if setting.metadata["default"] else "none",
            f"{setting.metadata['meaning']}: {setting.metadata['expects']}",
        )
        for setting in fields(Settings)
    }


def test_all_bad_values_are_reported_at_once():
    with pytest.raises(SettingsError) as caught:
        load_settings(["--port", "x"], {"RNG": "x", "MAX_QUEUE": "x"})
    assert [line.split()[0] for line in str(caught.value).splitlines()] == ["--port", "RNG", "MAX_QUEUE"]


def test_there_must_be_room_for_the_largest_body():
    with pytest.raises(SettingsError, match=r"^MAX_BODIES_BYTES must be >= --max-body-bytes \(1000\), got 999$"):
        load_settings(["--max-body-bytes=1000"], {"MAX_BODIES_BYTES": "999"})
    assert load_settings(["--max-body-bytes=1000"], {"MAX_BODIES_BYTES": "1000"}).max_bodies_bytes == 1000
    with pytest.raises(SettingsError, match=r"^--max-bodies-bytes must be >= MAX_BODY_BYTES \(1000\), got 999$"):
        load_settings(["--max-bodies-bytes=999"], {"MAX_BODY_BYTES": "1000"})
    with pytest.raises(SettingsError, match=r"^MAX_BODIES_BYTES must be >= MAX_BODY_BYTES \(4194304\), got 999$"):
        load_settings([], {"MAX_BODIES_BYTES": "999"})


@pytest.mark.parametrize(
    ("argv", "name"),
    [
        ([], "DEVICE"),
        (["--device-like", "--dtype=int8", "x--device"], "DEVICE"),
        (["--dtype=int8", "--device=cuda"], "--device"),
        (["--device", "cuda"], "--device"),
    ],
)
def test_a_setting_is_named_as_it_was_given(argv: list[str], name: str):
    assert name_given("device", argv) == name
    assert name_given("rate_burst", argv) == "RATE_BURST"


def test_messages_of_others_name_settings_as_they_were_given():
    def said(message: str) -> str:
        return in_given_names(message, ["--device=cuda", "--rate-limit", "1/day"])

    assert said("device must be cpu, got 'device'") == "--device must be cpu, got 'device'"
    assert said("dtype int8 needs the numba backend") == "DTYPE int8 needs the numba backend"
    assert said("RATE_BURST fills at RATE_LIMIT") == "RATE_BURST fills at --rate-limit"
    assert said("no device CUDA") == "no device CUDA"
    assert said("/x/DEVICE/y, MY-DEVICE.org, DEVICE.") == "/x/DEVICE/y, MY-DEVICE.org, --device."


@pytest.mark.parametrize(
    ("environ", "is_open"),
    [
        ({}, False),
        ({"HOST": "::1"}, False),
        ({"HOST": "0.0.0.0"}, True),
        ({"TRUSTED_PROXIES": "127.0.0.1"}, True),
        ({"HOST": "0.0.0.0", "API_KEY": "k"}, False),
        ({"HOST": "0.0.0.0", "ADMIN_API_KEY": "k"}, False),
    ],
)
def test_a_server_is_open_where_others_reach_its_control_routes_without_a_key(environ: dict[str, str], is_open: bool):
    assert load_settings([], environ).is_open == is_open


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("off", None),
        (" OFF ", None),
        ("5/second", (5, NS_PER_S)),
        ("30 per minute", (30, 60 * NS_PER_S)),
        ("1/5seconds", (1, 5 * NS_PER_S)),
        ("100 / 2 hours", (100, 7200 * NS_PER_S)),
        ("7/day", (7, 86400 * NS_PER_S)),
    ],
)
def test_parse_rate(text: str, rate: tuple[int, int] | None):
    assert parse_rate(text) == rate


def test_help_lists_every_setting_with_its_default(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as caught:
        load_settings(["--help"], {})
    assert caught.value.code == 0
    text = re.sub(r"\s+", " ", capsys.readouterr().out)
    for setting in fields(Settings):
        value = "[VALUE]" if setting.type is bool else "VALUE"
        assert f"--{setting.name.replace('_', '-')} {value}" in text
        assert f"[{setting.name.upper()}, default {setting.metadata['default'] or 'none'}]" in text


def test_unknown_and_abbreviated_flags_are_refused(capsys: pytest.CaptureFixture[str]):
    for flag in ("--unknown=1", "--por=1"):
        with pytest.raises(SystemExit) as caught:
            load_settings([flag], {})
        assert caught.value.code == 2
        assert flag in capsys.readouterr().err


def run_serve(*flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "serve", *flags], capture_output=True, text=True, timeout=60, check=False
    )


def test_bad_settings_exit_with_2_and_without_traceback():
    done = run_serve("--port=x", "--dtype=x")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        "--port must be an integer in [0, 65535], got 'x'",
        "--dtype must be one of float32, float64, bfloat16, float16, int8, w8a8, got 'x'",
    ]


def test_a_burst_that_no_rate_limit_can_count_is_named_as_it_was_given():
    flags = ("--rate-limit=1/day", "--rate-burst=9999999999")
    assert run_serve(*flags).stderr.startswith("--rate-burst must fill within 146 years at this --rate-limit, got ")


def test_broken_checkpoint_exits_with_1_and_without_traceback(tmp_path):
    done = run_serve("--model-dir", str(tmp_path))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"--model-dir: cannot use the checkpoint in {tmp_path}: ")
    assert "meta.json: " in done.stderr
    assert "weights.safetensors: file is missing" in done.stderr
    assert "Traceback" not in done.stderr
