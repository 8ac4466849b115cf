"""Notifications: e-mail and chat, through the services that `apprise` knows."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, final

from cepheid.actions.checking import checked_name, checked_texts, invalid_action
from cepheid.actions.template import Template
from cepheid.errors import ActionError
from cepheid.names import invalid_choice

if TYPE_CHECKING:
    from cepheid.actions.protocol import ActionContext

__all__ = ["Notify"]

_KINDS = ("info", "success", "warning", "failure")
_TITLE_CHARACTERS_MAX = 250
_BODY_CHARACTERS_MAX = 32_768


@final
class Notify:
    """Sends a text about each event by e-mail or to a chat, to whatever services the addresses name.

    Addresses are those of `apprise`: ``mailto://user:password@example.com?to=ops@example.com``,
    ``slack://token/#alerts``, ``tgram://token/chat``, ``json://localhost/path``, and a hundred more.

    - **Texts** are templates: ``{column}`` stands for the value of a column. Values are text and nothing else: they
      make no HTML, and a line break in the title is a space, so that none can add a header to an e-mail. What a chat
      reads into text, such as ``@channel``, it reads into values, too.
    - **Failures**: `apprise` says that a service did not take it, and hardly why; so it is always tried again. With
      several addresses those that have taken it are remembered, and are not told again at the next attempt.
    - **Once**: a service that has taken it while the app ended before that was remembered is told twice. There is no
      key by which it could tell.
    - **Limits**: titles end after 250 characters, bodies after 32,768. Time-outs are those of the services (4 seconds
      to connect and to read in most, in the address ``?cto=`` and ``?rto=``); some pause between two messages.

    Args:
        urls: An address, or several. They are secrets, and never shown.
        title: The title, a template.
        body: The body, a template.
        kind: ``"info"``, ``"success"``, ``"warning"`` or ``"failure"``: services show them in colours.
        name: The name of the action. None: ``notify:`` and the kinds of the addresses.

    Raises:
        TypeError: An argument is of the wrong type.
        AppError: An address or a template is none (code ``invalid-action``).
        ImportError: `apprise` is not installed.

    Example:
        >>> from cepheid.actions import Notify
        >>> Notify("json://localhost:9/alerts", title="{type}", body="order {order}: {total:.2f} EUR")
        Notify(['json://...'], name='notify:json')
    """

    __slots__ = ("_body", "_kind", "_senders", "_title", "name")

    #: The name under which it is saved what has been done.
    name: str
    #: Calls block; they are made in threads.
    is_coroutine = False

    def __init__(
        self,
        urls: str | Iterable[str],
        *,
        title: str = "{type}",
        body: str,
        kind: str = "info",
        name: str | None = None,
    ) -> None:
        texts = [urls] if isinstance(urls, str) else checked_texts(urls, "urls")
        if not texts or len(set(texts)) < len(texts):
            raise invalid_action("notifications go to one address at least, and to none twice")
        self._title, self._body = Template(title, "title"), Template(body, "body")
        if not body:
            raise invalid_action("body has something in it")
        if kind not in _KINDS:
            raise invalid_choice("kind", kind, list(_KINDS))
        self._kind = kind
        self._senders = [_Sender(url, number) for number, url in enumerate(texts)]
        schemas = dict.fromkeys(sender.schema for sender in self._senders)
        self.name = checked_name(name, f"notify:{'+'.join(schemas)}"[:200])

    def __call__(self, event: Mapping[str, Any], context: ActionContext) -> None:
        """Sends a text about an event to all services that have not taken it yet.

        Args:
            event: The event, by column.
            context: What an action is told.

        Raises:
            ActionError: A service did not take it (code ``notify-failed``), or the event does not fill the templates
                (``action-column``, ``action-template``; permanent).
        """
        title = " ".join("".join(map(_printed, self._title.fill(event, self.name))).split())
        body = self._body.fill(event, self.name).replace("\0", "")
        title, body = _cut(title, _TITLE_CHARACTERS_MAX), _cut(body, _BODY_CHARACTERS_MAX)
        if not body.strip():
            # Services refuse an empty one, or show nothing.
            body = title or self.name
        failed = []
        for sender in self._senders:
            if len(self._senders) > 1 and context.memory.get(sender.remembered) is not None:
                continue
            if not sender.send(title, body, self._kind):
                failed.append(sender.schema)
            elif len(self._senders) > 1:
                context.memory.put(sender.remembered, b"sent")
        if failed:
            raise ActionError(
                f"{self.name}: {len(failed)} of {len(self._senders)} services did not take it "
                f"({', '.join(f'{schema}://...' for schema in failed[:5])}); what they say is in the log of `apprise`",
                code="notify-failed",
                action=self.name,
            )

    def __repr__(self) -> str:
        return f"Notify({[f'{sender.schema}://...' for sender in self._senders]!r}, name={self.name!r})"


@final
class _Sender:
    """One address."""

    __slots__ = ("_apprise", "remembered", "schema")

    def __init__(self, url: str, number: int) -> None:
        try:
            import apprise
        except ImportError as error:
            raise ImportError("notifications are sent by `apprise`; install cepheid[notify]") from error
        self.schema = url.partition("://")[0].lower()
        # One that is moved to another place in the list is still the same.
        self.remembered = f"sent/{hashlib.sha256(url.encode(errors='replace')).hexdigest()[:16]}"
        asset = apprise.AppriseAsset(interpret_escapes=False, interpret_emojis=False, async_mode=False)
        self._apprise = apprise.Apprise(asset=asset)
        # It reads its services when the first address is added, and one of them a module that Python 3.13 has dropped.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            known = self.schema.isascii() and "://" in url and self._apprise.add(url)
        if not known or len(self._apprise) != 1:
            raise invalid_action(
                f"address {number + 1} for notifications is none that `apprise` knows; they look like "
                "mailto://user:password@example.com or slack://token/#channel"
            )

    def send(self, title: str, body: str, kind: str) -> bool:
        """Whether the service has taken it."""
        import apprise

        try:
            return bool(
                self._apprise.notify(body=body, title=title, notify_type=kind, body_format=apprise.NotifyFormat.TEXT)
            )
        except Exception as error:
            # A service of `apprise` that fails in a way of its own; the text of it may have the address.
            raise ActionError(
                f"{self.schema}://...: `apprise` failed with {type(error).__name__}", code="notify-failed"
            ) from None


def _printed(letter: str) -> str:
    return letter if letter.isprintable() else " "


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "\N{HORIZONTAL ELLIPSIS}"
