"""The command line: `microgpt train | generate | chat | info | export`, one file per command.

Exit codes: 0 done; 2 for a wrong command line, data or model directory; 1 for every other failure; 130 and 143 when
Ctrl-C or SIGTERM ended it.
"""

import argparse
import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import microgpt
from microgpt.cli import chat, export, generate, info, train
from microgpt.errors import CheckpointError, DataError, InvalidRequest, MicrogptError

COMMANDS = (train, generate, chat, info, export)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code. Prints errors as one line on stderr, without traceback."""
    parser = _parser()
    parsed = parser.parse_args(arguments)
    try:
        with _notices():
            return parsed.run(parsed)
    except (DataError, CheckpointError, InvalidRequest) as error:
        return _complain(error, 2)
    except MicrogptError as error:
        return _complain(error, 1)
    except OSError as error:
        if isinstance(error, BrokenPipeError):  # `microgpt generate ... | head`
            sys.stderr.close()
            return 1
        return _complain(error, 1)
    except KeyboardInterrupt:
        return 130


@contextmanager
def _notices() -> Iterator[None]:
    """Show on stderr what the library has to say, as that kernels are compiled, which takes a while."""
    logger = logging.getLogger("microgpt")
    handler, level = logging.StreamHandler(), logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def _complain(error: Exception, code: int) -> int:
    print(f"microgpt: {error}", file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="microgpt",
        description="Train, try and inspect tiny GPTs.",
        epilog="`microgpt COMMAND --help` explains a command, with examples.",
    )
    parser.add_argument("--version", action="version", version=f"microgpt {microgpt.__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in COMMANDS:
        name = command.__name__.rpartition(".")[2]
        sub = commands.add_parser(
            name,
            help=command.SUMMARY,
            description=command.DESCRIPTION,
            epilog=command.EXAMPLES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.add_arguments(sub)
        sub.set_defaults(run=command.run)
    return parser
