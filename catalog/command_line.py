"""Command lines: absl flags in, exit code out. Each command's work is in the libraries it calls.

Exit codes: 0 on success and after `--help`, 2 on a user's mistake or an error of the system, 130
after Ctrl-C, 141 if the reader of standard output has ended.
"""

import atexit
import csv
import os
import re
import select
import sys
from collections.abc import Callable, Sequence
from pathlib import PurePath
from typing import Literal, NoReturn

from absl import app, flags, logging

from catalog import object_store, storage, terminal
from catalog.errors import UserError, suggestion

USER_ERROR_EXIT_CODE = 2
_BROKEN_PIPE_EXIT_CODE = 141  # as a shell reports SIGPIPE

Existing = Literal['file', 'folder']

_AUTHORITY = re.compile(r'//[^/\s]*@')  # may hold a password

_BILLING_PROJECT = flags.DEFINE_string(
    'billing_project',
    None,
    'Google Cloud project that pays for reading and writing buckets whose requester pays.',
)


class PathParser(flags.ArgumentParser):  # type: ignore[misc]
    """Parses a flag that names a file or folder: `flags.DEFINE(command_line.PATH, …)`.

    `~` is expanded; an empty value and an unknown scheme are errors. With `existing`, so is a local
    path that is not there, before the program loads what takes seconds. Paths of an object store
    are looked up when they are read.
    """

    syntactic_help = 'a path'

    def __init__(
        self, schemes: Sequence[str] = object_store.SCHEMES, *, existing: Existing | None = None
    ) -> None:
        super().__init__()
        self._schemes = schemes
        self._existing = existing

    def parse(self, argument: str) -> str:
        """Returns the path; `UserError` is a ValueError, as absl expects."""
        path = storage.checked_path(argument, schemes=self._schemes)
        if self._existing and '://' not in path:
            _check_existing(path, self._existing)
        return path


class PathsParser(flags.ArgumentParser):  # type: ignore[misc]
    """Parses a flag that names files or folders, comma-separated: `flags.DEFINE(PATHS, …)`.

    The path of an existing local file or folder is one path, commas included, and so is a pattern
    of files in such a folder.
    """

    syntactic_help = 'comma-separated paths'

    def __init__(
        self, schemes: Sequence[str] = object_store.SCHEMES, *, existing: Existing | None = None
    ) -> None:
        super().__init__()
        self._path = PathParser(schemes, existing=existing)

    def parse(self, argument: str | list[str]) -> list[str]:
        """Returns the paths."""
        if isinstance(argument, list):
            return argument
        path = os.path.expanduser(argument)
        folder = os.path.dirname(path)
        if os.path.exists(path) or (',' in folder and os.path.isdir(folder)):
            return [self._path.parse(argument)]
        parts = next(csv.reader([argument], strict=True), []) or ['']
        return [self._path.parse(part.strip()) for part in parts]


def _check_existing(path: str, kind: Existing) -> None:
    """A file may also be a pipe, such as a shell's `<(command)`."""
    if not os.path.exists(path):
        raise UserError(f'must be an existing {kind}, got {path!r}; check the path')
    if os.path.isdir(path) != (kind == 'folder'):
        other = 'file' if kind == 'folder' else 'folder'
        raise UserError(f'must be a {kind}, got the {other} {path!r}')


LOCAL_PATH = PathParser(schemes=())
LOCAL_FILE = PathParser(schemes=(), existing='file')
LOCAL_FOLDER = PathParser(schemes=(), existing='folder')
PATH = PathParser()
FILE = PathParser(existing='file')
FOLDER = PathParser(existing='folder')
TENSORFLOW_PATH = PathParser(schemes=('gs://',))  # TensorFlow opens these itself
TENSORFLOW_FOLDER = PathParser(schemes=('gs://',), existing='folder')
TENSORFLOW_FOLDERS = PathsParser(schemes=('gs://',), existing='folder')
PATHS = PathsParser()
FOLDERS = PathsParser(existing='folder')


def exit_with_error(message: object, *, code: int = USER_ERROR_EXIT_CODE) -> NoReturn:
    """Prints `error: message` on one line of standard error and exits, by default with code 2."""
    line = terminal.escape(' '.join(str(message).split()))
    print(f'error: {line}', file=sys.stderr, flush=True)
    sys.exit(code)


def report_errors(main: Callable[[list[str]], None]) -> Callable[[list[str]], None]:
    """Wraps `main` so that a user's mistakes and the system's errors are printed as one line."""

    def call(argv: list[str]) -> None:
        try:
            main(argv)
            _flush_output()
        except UserError as error:
            exit_with_error(error)
        except KeyboardInterrupt:
            print('stopped by Ctrl-C', file=sys.stderr)
            sys.exit(130)
        except OSError as error:
            if error.errno is None:
                raise
            if isinstance(error, BrokenPipeError) and _reader_has_ended():
                _flush_output()
                sys.exit(_BROKEN_PIPE_EXIT_CODE)
            where = error.filename or '(no file named)'
            exit_with_error(f'{error.strerror}: {where}{_flag_hint(error.filename)}')

    return call


def _flag_hint(filename: object) -> str:
    """Returns ` (from --flag)` if a flag gave this path or a folder above it; otherwise ''."""
    if not isinstance(filename, str):
        return ''
    above = [filename, *map(str, PurePath(filename).parents)]  # the nearest first
    given = {path: name for name in flags.FLAGS for path in _texts(flags.FLAGS[name].value)}
    return next((f' (from --{given[path]})' for path in above if path in given), '')


def _texts(value: object) -> list[str]:
    """Returns the texts of a flag without slashes at the end, and as they are."""
    texts = value if isinstance(value, list) else [value]
    return [end for text in texts if isinstance(text, str) for end in (text.rstrip('/'), text)]


def _reader_has_ended() -> bool:
    """Returns whether no process, such as `head`, reads standard output any more."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)  # errors are always reported
    return bool(poll.poll(0))


def _flush_output() -> None:
    """Flushes standard output, or drops what nobody reads. Python flushes again when it exits."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def parse_flags(argv: list[str], *, known_only: bool = False) -> list[str]:
    """Parses the flags and returns the remaining arguments, program name first.

    Args:
      argv: The command line, program name first.
      known_only: Whether to return undefined flags with the remaining arguments.
    """
    required = [name for name in flags.FLAGS if _is_required(name)]
    for name in required:
        flags.FLAGS[name].help += ' Required.'
    try:
        remaining: list[str] = flags.FLAGS(argv, known_only=known_only)
    except flags.UnrecognizedFlagError as error:
        near = flag_suggestion(error.flagname)
        exit_with_error(
            f'Unknown command line flag {error.flagname!r}{near}. --help lists the flags'
        )
    except flags.Error as error:
        missing = [name for name in required if flags.FLAGS[name].value is None]
        message = _explain(str(error).rstrip('.'), missing, argv[1:])
        exit_with_error(f'{_AUTHORITY.sub("//***@", message)}. --help lists the flags')
    except (SystemExit, BrokenPipeError):  # absl has printed the help, and would exit with 1
        _flush_output()
        sys.exit(0)
    if _BILLING_PROJECT.value:
        os.environ[object_store.BILLING_PROJECT] = _BILLING_PROJECT.value
        # TensorFlow's own reader of gs://.
        os.environ['GCS_ADDITIONAL_REQUEST_HEADER'] = (
            f'X-Goog-User-Project: {_BILLING_PROJECT.value}'
        )
    return remaining


def flag_suggestion(argument: str, more: Sequence[str] = ()) -> str:
    """Returns the `suggestion` for an unknown flag: one of this program's, or of `more` names."""
    name = argument.lstrip('-').partition('=')[0]
    return suggestion(name, [*flags.FLAGS, *more])


def _is_required(name: str) -> bool:
    rules = (validator.message for validator in flags.FLAGS[name].validators)
    return any('must have a value other than None' in rule for rule in rules)


def _missing(names: Sequence[str], arguments: Sequence[str]) -> str:
    """Returns the error of flags that are missing, perhaps because one of them is misspelled."""
    message = f'{", ".join(f"--{name}" for name in names)} must be given'
    given = (argument.lstrip('-').partition('=')[0] for argument in arguments)
    for name in given:
        if name not in flags.FLAGS and (near := suggestion(name, names)):
            return f"{message}, got '--{name}'{near}"
    return message


def _explain(message: str, missing: Sequence[str], arguments: Sequence[str]) -> str:
    """Returns an error of absl in this project's words: the flag, the rule, the value."""
    found = re.fullmatch(r'flag --(\w+)=(.*?): (.*)', message, re.DOTALL)
    if not found:
        return message
    name, value, rule = found.groups()
    if 'must have a value other than None' in rule:
        return _missing(missing, arguments)
    if rule.startswith('must '):
        return f'--{name} {rule}'
    if rule.startswith('value should be one of'):
        choices = getattr(flags.FLAGS[name].parser, 'enum_values', ())
        near = suggestion(value, choices)
        return f'--{name} must be one of {", ".join(choices)}, got {value!r}{near}'
    for kind, start in (('an integer', 'invalid literal'), ('a number', 'could not convert')):
        if rule.startswith(start):
            return f'--{name} must be {kind}, got {value!r}'
    return f'--{name}: {rule}'


def parse_only_flags(argv: list[str]) -> list[str]:
    """Parses the flags; exits with an error if there is another argument."""
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
    parse: Callable[[list[str]], list[str]] = parse_only_flags,
) -> None:
    """Runs a command. `--help` prints the docstring of its module and its flags.

    Args:
      main: Takes the arguments that `parse` returns, program name first.
      parse: Parses the flags. By default, any argument that is not a known flag is an error.
    """
    os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')  # errors only, before TensorFlow loads
    logging.set_verbosity(logging.WARNING)
    flags.FLAGS.register_key_flag_for_module(sys.argv[0], flags.FLAGS['billing_project'])
    try:
        app.run(report_errors(main), flags_parser=parse)
    except SystemExit as error:
        if 'tensorflow_io' in sys.modules:
            _leave(error.code)
        raise


def _leave(code: object) -> NoReturn:
    """Ends the process without C++'s destructors, in which tensorflow-io's S3 client aborts."""
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))
