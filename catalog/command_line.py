"""Command lines: absl flags in, exit code out. Each command's work is in the libraries it calls.

Exit codes: 0 on success and after `--help`, 2 on a user's mistake or an error of the system, 130
after Ctrl-C.
"""

import os
import sys
from collections.abc import Callable
from typing import NoReturn

from absl import app, flags, logging

from catalog import terminal
from catalog.errors import UserError

USER_ERROR_EXIT_CODE = 2


def exit_with_error(message: object) -> NoReturn:
    """Prints `error: message` on one line of standard error and exits with code 2."""
    line = terminal.escape(' '.join(str(message).split()))
    print(f'error: {line}', file=sys.stderr, flush=True)
    sys.exit(USER_ERROR_EXIT_CODE)


def report_errors(main: Callable[[list[str]], None]) -> Callable[[list[str]], None]:
    """Wraps `main` so that a user's mistakes and the system's errors are printed as one line."""

    def call(argv: list[str]) -> None:
        try:
            main(argv)
        except UserError as error:
            exit_with_error(error)
        except KeyboardInterrupt:
            print('stopped by Ctrl-C', file=sys.stderr)
            sys.exit(130)
        except OSError as error:
            if error.errno is None:
                raise
            exit_with_error(f'{error.strerror}: {error.filename or "(no file named)"}')

    return call


def parse_flags(argv: list[str], *, known_only: bool = False) -> list[str]:
    """Parses the flags and returns the remaining arguments, program name first.

    Args:
      argv: The command line, program name first.
      known_only: Whether to return undefined flags with the remaining arguments.
    """
    try:
        remaining: list[str] = flags.FLAGS(argv, known_only=known_only)
    except flags.Error as error:
        exit_with_error(f'{str(error).rstrip(".")}. --help lists the flags')
    except SystemExit:  # absl has printed the help, and would exit with 1
        sys.exit(0)
    return remaining


def _parse_only_flags(argv: list[str]) -> list[str]:
    remaining = parse_flags(argv)
    if len(remaining) > 1:
        exit_with_error(
            f'arguments must be flags like --name=value, got {remaining[1]!r}. '
            '--help lists the flags'
        )
    return remaining


def run(
    main: Callable[[list[str]], None],
    *,
    parse: Callable[[list[str]], list[str]] = _parse_only_flags,
) -> None:
    """Runs a command. `--help` prints the docstring of its module and its flags.

    Args:
      main: Takes the arguments that `parse` returns, program name first.
      parse: Parses the flags. By default, any argument that is not a known flag is an error.
    """
    os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')  # errors only, before TensorFlow loads
    logging.set_verbosity(logging.WARNING)
    app.run(report_errors(main), flags_parser=parse)
