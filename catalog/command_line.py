"""Command lines: absl flags in, exit code out. What a door does is in the libraries it calls."""

import os
import sys
from collections.abc import Callable
from typing import NoReturn

from absl import app, flags, logging

from catalog.errors import UserError

USER_ERROR_EXIT_CODE = 2


def exit_with_error(message: object) -> NoReturn:
    """Prints `error: message` on one line of standard error and exits with code 2."""
    print('error: ' + ' '.join(str(message).split()), file=sys.stderr, flush=True)
    sys.exit(USER_ERROR_EXIT_CODE)


def report_errors(main: Callable[[list[str]], None]) -> Callable[[list[str]], None]:
    """`main`, with the user's mistakes and the system's refusals told in one line."""

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
    """Reads the flags; returns the arguments that are none, program name first.

    Args:
      argv: the command line, program name first.
      known_only: leaves flags that are not defined among the arguments.
    """
    try:
        remaining: list[str] = flags.FLAGS(argv, known_only=known_only)
    except flags.Error as error:
        exit_with_error(f'{str(error).rstrip(".")}. --help lists the flags')
    return remaining


def _parse_only_flags(argv: list[str]) -> list[str]:
    remaining = parse_flags(argv)
    if len(remaining) > 1:
        exit_with_error(
            f'arguments are flags like --name=value, got {remaining[1]!r}. --help lists the flags'
        )
    return remaining


def run(
    main: Callable[[list[str]], None],
    *,
    parse: Callable[[list[str]], list[str]] = _parse_only_flags,
) -> None:
    """Runs a door. `--help` prints the module's docstring and its flags.

    Args:
      main: takes what `parse` left of the command line, program name first.
      parse: reads the flags; by default anything that is not a known flag is refused.
    """
    os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')  # errors only, before TensorFlow loads
    logging.set_verbosity(logging.WARNING)
    app.run(report_errors(main), flags_parser=parse)
