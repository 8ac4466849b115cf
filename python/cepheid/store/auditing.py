"""Whether a store is what was written, and what it says of itself to those who have to know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cepheid.building import checked_name
from cepheid.engine_options import named_rules, rule_version
from cepheid.errors import StoreError
from cepheid.store.handle import StoreHandle
from cepheid.store.report import StoreReport, make_report, noted_rules
from cepheid.store.verification import Verification

__all__ = ["StoreAuditing"]


class StoreAuditing(StoreHandle):
    """The auditing half of an `EventStore`."""

    __slots__ = ()

    def verify(self, key: str | bytes | None = None) -> Verification:
        """Reads all that is stored, and says whether it is what was written; if not, names the first bad position.

        Every batch, and every change to what is kept, is an entry of a chain of hashes (SHA-256), which this walks from
        its beginning: what was changed, left out or put in between breaks it. A signature (`sign`) shows that nobody
        has written it all anew.

        Args:
            key: A public key, in bytes or hexadecimal: the last signature has to be of it. None: signatures have to fit
                the keys that they name.

        Returns:
            What was found. A damaged store is a finding and no error.

        Raises:
            StoreError: The disk cannot be read.

        Example:
            >>> import cepheid as cep
            >>> with cep.EventStore() as store:
            ...     position = store.append("txn", [{"ts": 1, "amount": 900}])
            ...     bool(store.verify())
            True
        """
        wanted = bytes(key).hex() if isinstance(key, (bytes, bytearray)) else key
        entries, events, removed, segments, signatures, fault = self._view.verify(wanted)
        entry, position, reason = fault or (None, None, None)
        return Verification(entries, events, removed, segments, tuple(signatures), position, entry, reason)

    def sign(self, secret: bytes) -> str:
        """Signs the chain as it is now, as its next entry; gives the public key, in hexadecimal.

        Args:
            secret: A key of Ed25519, 32 bytes, to be kept away from the store.

        Raises:
            TypeError: It is not bytes.
            StoreError: It is not 32 bytes long (code ``store-option``).

        Example:
            >>> import cepheid as cep
            >>> with cep.EventStore() as store:
            ...     position = store.append("txn", [{"ts": 1, "amount": 900}])
            ...     public = store.sign(bytes(range(32)))
            ...     (store.verify(public).ok, store.verify("00" * 32).ok)
            (True, False)
        """
        if not isinstance(secret, (bytes, bytearray)):
            raise TypeError(f"a secret key is bytes, not {type(secret).__name__}")
        if len(secret) != 32:
            raise StoreError(f"a secret key of Ed25519 has 32 bytes, not {len(secret)}", code="store-option")
        _, public = self._log("sign it").sign(bytes(secret))
        return public

    def note_rules(self, rules: Any) -> None:
        """Writes into the chain which versions of rules are in force from now on: `report` says since when.

        Args:
            rules: A rule, a list of them, a mapping of names to them, or an `Engine`. A name mapped to None is in force
                no longer. A rule that is noted already in this version is not noted again.

        Raises:
            TypeError: It is none of these.

        Example:
            >>> import cepheid as cep
            >>> large = cep.event("large", "amount > 500").named("large")
            >>> with cep.EventStore() as store:
            ...     store.note_rules(large)
            ...     [rule["rule"] for rule in store.report().rules]
            ['large']
        """
        noted = {rule["rule"]: rule["version"] for rule in noted_rules(self._view.history())}
        changes = [
            ("rule", name, version or "", None)
            for name, version in _versions(rules).items()
            if noted.get(name) != version
        ]
        self._log("note rules").commit(changes)

    def report(self, *, gap: str | None = "1d", title: str = "Event store") -> StoreReport:
        """A compliance report: what there is, who did what when, and what is no longer there.

        Events by topic and by who appended them, gaps, late and rejected events, which versions of rules are in force
        and since when, erasures, and every other change to what is kept.

        Args:
            gap: Silences of a topic that are longer, in event time, are listed. None: none is looked for, and no event
                is read.
            title: What stands at its head.

        Returns:
            The report; `StoreReport.to_markdown` and `StoreReport.to_html` write it.

        Example:
            >>> import cepheid as cep
            >>> with cep.EventStore(author="till-3") as store:
            ...     position = store.append("txn", [{"ts": 1, "amount": 900}])
            ...     print(store.report().to_markdown().splitlines()[0])
            # Event store
        """
        return make_report(self._store(), gap, title)


def _versions(rules: Any) -> dict[str, str | None]:
    from cepheid.engine import Engine

    if isinstance(rules, Engine):
        rules = rules._rules
    gone: dict[str, str | None] = {}
    if isinstance(rules, Mapping):
        gone = {checked_name(name, "rule"): None for name, rule in rules.items() if rule is None}
        rules = {name: rule for name, rule in rules.items() if rule is not None}
    return gone | {str(rule.name): rule_version(rule) for rule in named_rules(rules)}
