"""The command line: `microgpt train | generate | chat | info | export`, one file per command.

Exit codes: 0 done; 2 for a wrong command line, data or model directory; 1 for every other failure; 130 and 143 when
Ctrl-C or SIGTERM ended it.
"""

import argparse
import sys
from collections.abc import Sequence

import microgpt
from microgpt.cli import chat, export, generate, info, train
from microgpt.errors import CheckpointError, DataError, InvalidRequest, MicrogptError

COMMANDS = (train, generate, chat, info, export)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code. Prints errors as one line on stderr, without traceback."""
    parser = _parser()
    parsed = parser.parse_args(arguments)
    try:
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
