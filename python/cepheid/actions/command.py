"""Commands: a program that is run for each event, with an argument list and never through a shell."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterable, Mapping
from typing import IO, TYPE_CHECKING, Any, final

from cepheid.actions.checking import (
    checked_bytes_max,
    checked_name,
    checked_seconds,
    checked_texts,
    invalid_action,
)
from cepheid.actions.event_json import json_bytes
from cepheid.actions.process_end import end_group, exit_code_of
from cepheid.actions.template import Template
from cepheid.errors import ActionError
from cepheid.names import invalid_choice
from cepheid.options import checked_flag

if TYPE_CHECKING:
    from cepheid.actions.protocol import ActionContext

__all__ = ["Command", "CommandError"]

# What a program finds of the environment if it is given nothing: where programs are, and how text is written.
_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "SYSTEMROOT", "TEMP", "TMP")
_ARGUMENT_BYTES_MAX = 65_536
_SHOWN_CHARACTERS_MAX = 1_000
# How long what a program has written is waited for after it has ended: somebody else may hold the pipe.
_OUTPUT_WAIT_S = 1.0


class CommandError(ActionError):
    """A command that did not end well.

    Attributes:
        exit_code: What it ended with; below zero the signal that ended it; None where it was never begun, or ended
            because its time was up.
        output: The last of what it wrote, to both its outputs, in the order in which it came.
    """

    default_code = "command-failed"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        hint: str | None = None,
        action: str | None = None,
        permanent: bool = False,
        retry_after: float | None = None,
        exit_code: int | None = None,
        output: bytes = b"",
    ) -> None:
        super().__init__(message, code=code, hint=hint, action=action, permanent=permanent, retry_after=retry_after)
        self.exit_code = exit_code
        self.output = output


@final
class Command:
    """Runs a program for each event: an argument list, no shell.

    Arguments may have columns in them, ``["convert", "--id={order}", "{file}"]``. A value is always part of the one
    argument that names it, whatever is in it: quotes, spaces, ``;`` and ``$`` mean nothing. One thing is left that a
    value could do, which is to pass for an option: an argument that begins with ``-`` because of a value is refused,
    and not tried again, so that ``{file}`` cannot become ``--exec=...``. What programs do with values beyond that
    (``@file``, ``~``, addresses, names of files) is theirs to say.

    - **Ends**: 0 is success, `permanent_codes` have no use to try again, everything else is tried again, a signal too.
    - **Time**: when it is up, the program and all of its process group are ended with SIGKILL. What it leaves running
      in its group when it ends is ended too. On Windows it is the program alone.
    - **Input**: the event as JSON, on one line.
    - **Environment**: PATH, HOME, LANG, LC_ALL, LC_CTYPE, TZ and TMPDIR, as far as they are set, and on Windows
      SYSTEMROOT, TEMP and TMP; what `env` says; and ``CEPHEID_IDEMPOTENCY_KEY``, ``CEPHEID_TOPIC`` and
      ``CEPHEID_ATTEMPT``. The key is the same at every attempt: by it a program that is run twice can tell.
    - **Limits**: an argument has 64 KiB at most once it is filled; of the output the last `output_bytes_max` are kept.
      A command costs a process and up to two threads while it runs.

    Args:
        arguments: The program, without columns, and its arguments.
        input: ``"json"``: the event on standard input; None: nothing.
        env: More of the environment, for it alone.
        cwd: Where it runs. None: where the app does.
        timeout: Seconds for an attempt where the context names none. None: as long as it takes.
        permanent_codes: Exit codes after which it is not tried again; those of the standard are 64 for a wrong call,
            65 for wrong data.
        output_bytes_max: How much of the end of its output an error has.
        options_allowed: Whether a value may begin an argument with ``-``.
        name: The name of the action. None: ``command:`` and the program.

    Raises:
        TypeError: An argument is of the wrong type.
        AppError: An argument says something impossible (code ``invalid-action``).

    Example:
        >>> from cepheid.actions import Command
        >>> Command(["logger", "--tag=shop", "--", "{type}"])
        Command(['logger', '--tag=shop', '--', '{type}'], name='command:logger')
    """

    __slots__ = (
        "_arguments",
        "_cwd",
        "_env",
        "_input",
        "_options_allowed",
        "_output_bytes_max",
        "_permanent_codes",
        "_program",
        "_timeout",
        "name",
    )

    #: The name under which it is saved what has been done.
    name: str
    #: Calls block; they are made in threads.
    is_coroutine = False

    def __init__(
        self,
        arguments: Iterable[str],
        *,
        input: str | None = "json",
        env: Mapping[str, str] | None = None,
        cwd: str | os.PathLike[str] | None = None,
        timeout: float | None = None,
        permanent_codes: Iterable[int] = (64, 65),
        output_bytes_max: int = 65_536,
        options_allowed: bool = False,
        name: str | None = None,
    ) -> None:
        texts = checked_texts(arguments, "arguments")
        if not texts or not texts[0]:
            raise invalid_action("a command has a program, and then arguments")
        if any("\0" in text for text in texts):
            raise invalid_action("an argument of a command has no NUL in it")
        program, *rest = (Template(text, "an argument") for text in texts)
        if program.columns:
            raise invalid_action("which program is run is not for an event to say; the first argument has no columns")
        self._program = program.beginning
        if self._program.lower().endswith((".bat", ".cmd")):
            raise invalid_action("a batch file is run by a shell, which would read values as commands; run a program")
        self._arguments = rest
        if input not in ("json", None):
            raise invalid_choice("input", input, ["json", None])
        self._input = input is not None
        self._env = _checked_env(env)
        self._cwd = None if cwd is None else os.fspath(cwd)
        self._timeout = None if timeout is None else checked_seconds(timeout, "timeout")
        self._permanent_codes = frozenset(permanent_codes)
        if not all(type(code) is int for code in self._permanent_codes) or 0 in self._permanent_codes:
            raise invalid_action("permanent_codes are whole numbers other than 0")
        self._output_bytes_max = checked_bytes_max(output_bytes_max, "output_bytes_max")
        self._options_allowed = checked_flag(options_allowed, "options_allowed")
        self.name = checked_name(name, f"command:{os.path.basename(self._program)}")

    def __call__(self, event: Mapping[str, Any], context: ActionContext) -> None:
        """Runs it for an event.

        Args:
            event: The event, by column.
            context: What an action is told.

        Raises:
            CommandError: It could not be begun (code ``command-not-started``), took too long (``command-timeout``), or
                did not end well (``command-failed``).
            ActionError: A value cannot be an argument (``command-argument``, ``action-column``; permanent).
        """
        arguments = [self._program, *(self._filled(argument, event) for argument in self._arguments)]
        given = json_bytes(event) + b"\n" if self._input else None
        timeout = self._timeout if context.timeout is None else context.timeout
        try:
            process = subprocess.Popen(
                arguments,
                stdin=subprocess.DEVNULL if given is None else subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=self._environment(context),
                cwd=self._cwd,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            raise CommandError(
                f"`{self._program}` could not be run: {type(error).__name__}: {getattr(error, 'strerror', error)}",
                code="command-not-started",
                action=self.name,
            ) from None
        exit_code, output = self._ended(process, given, timeout)
        if exit_code is None:
            raise CommandError(
                f"`{self._program}` did not end within {timeout:g} s, and was ended{_last_of(output)}",
                code="command-timeout",
                action=self.name,
                output=output,
            )
        if exit_code != 0:
            how = f"with code {exit_code}" if exit_code > 0 else f"by signal {-exit_code}"
            raise CommandError(
                f"`{self._program}` ended {how}{_last_of(output)}",
                action=self.name,
                permanent=exit_code in self._permanent_codes,
                exit_code=exit_code,
                output=output,
            )

    def _filled(self, argument: Template, event: Mapping[str, Any]) -> str:
        text = argument.fill(event, self.name)
        problem = None
        try:
            size = len(os.fsencode(text))
        except UnicodeEncodeError:
            size, problem = 0, "is no text that an argument can hold"
        if "\0" in text:
            problem = "has a NUL in it, which ends an argument"
        elif size > _ARGUMENT_BYTES_MAX:
            problem = f"has {size} bytes; an argument has {_ARGUMENT_BYTES_MAX} at most: read the event from the input"
        elif text.startswith("-") and not argument.beginning.startswith("-") and not self._options_allowed:
            problem = (
                "would begin with `-` because of a value, and could be an option: write `--name={column}`, or allow it "
                "with options_allowed=True"
            )
        if problem:
            raise ActionError(
                f"{self.name}: the argument `{argument.text[:100]}` {problem}",
                code="command-argument",
                action=self.name,
                permanent=True,
            )
        return text

    def _environment(self, context: ActionContext) -> dict[str, str]:
        env = {name: os.environ[name] for name in _PASSED_ON if name in os.environ} | self._env
        own = {
            "CEPHEID_IDEMPOTENCY_KEY": context.key,
            "CEPHEID_TOPIC": context.topic,
            "CEPHEID_ATTEMPT": str(context.attempt),
        }
        # Variables end at a NUL.
        return env | {name: text.replace("\0", "") for name, text in own.items()}

    def _ended(
        self, process: subprocess.Popen[bytes], given: bytes | None, timeout: float | None
    ) -> tuple[int | None, bytes]:
        """The exit code, None if its time was up, and the end of its output; nothing of it is left running."""
        output = _Tail(self._output_bytes_max)
        assert process.stdout is not None
        threads = [threading.Thread(target=_read, args=(process.stdout, output), daemon=True)]
        if given is not None:
            assert process.stdin is not None
            threads.append(threading.Thread(target=_write, args=(process.stdin, given), daemon=True))
        try:
            for thread in threads:
                thread.start()
            exit_code = exit_code_of(process, timeout)
        finally:
            end_group(process)
            for thread in threads:
                if thread.ident is not None:
                    thread.join(_OUTPUT_WAIT_S)
        return exit_code, output.kept()

    def __repr__(self) -> str:
        # Values of the environment are left out: that is where secrets are given.
        return f"Command({[self._program, *(argument.text for argument in self._arguments)]!r}, name={self.name!r})"


@final
class _Tail:
    """The last bytes of what is put in."""

    __slots__ = ("_bytes", "_lock", "_most")

    def __init__(self, most: int) -> None:
        self._most = most
        self._bytes = bytearray()
        self._lock = threading.Lock()

    def put(self, chunk: bytes) -> None:
        with self._lock:
            self._bytes += chunk
            if len(self._bytes) > self._most:
                del self._bytes[: -self._most]

    def kept(self) -> bytes:
        with self._lock:
            return bytes(self._bytes)


def _read(stream: IO[bytes], output: _Tail) -> None:
    # Closed by the thread that reads: to close what another reads would wait for it.
    with stream:
        while chunk := os.read(stream.fileno(), 65_536):
            output.put(chunk)


def _write(stream: IO[bytes], given: bytes) -> None:
    # A program need not read what it is given.
    try:
        with stream:
            stream.write(given)
    except OSError:
        pass


def _last_of(output: bytes) -> str:
    """The end of the output for a message, without what would move a cursor or colour a screen."""
    text = output.decode(errors="replace")[-_SHOWN_CHARACTERS_MAX:].strip()
    shown = "".join(
        letter if letter.isprintable() or letter == "\n" else "\N{REPLACEMENT CHARACTER}" for letter in text
    )
    return f"; the end of its output:\n{shown}" if shown else "; it wrote nothing"


def _checked_env(env: Mapping[str, str] | None) -> dict[str, str]:
    if env is None:
        return {}
    if not isinstance(env, Mapping):
        raise TypeError(f"env is a mapping of names to values, not {type(env).__name__}")
    for name, value in env.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError("env is a mapping of text to text")
        if not name or "=" in name or "\0" in name or "\0" in value:
            raise invalid_action(f"{name[:100]!r} is no variable of an environment, or its value has a NUL in it")
    return dict(env)
