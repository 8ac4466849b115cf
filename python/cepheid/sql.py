"""Row patterns and windows in SQL."""

from __future__ import annotations

from functools import lru_cache
from numbers import Integral
from typing import Any

from cepheid import _native
from cepheid.building import encodable
from cepheid.errors import SqlError
from cepheid.names import listed_names, nearest_name, resolve_name
from cepheid.options import checked_count
from cepheid.pattern import Pattern
from cepheid.result import Matches
from cepheid.window import Window

__all__ = ["pattern_from_sql", "sql", "window_from_sql"]


def sql(text: str, /, *, threads: Any = None, **tables: Any) -> Matches:
    """Runs a query of matches, ``SELECT ... FROM table MATCH_RECOGNIZE (...) ...``, or of windows.

    Windows are spelled as Flink does: ``FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), size [, offset]))``, or ``HOP(TABLE
    t, DESCRIPTOR(ts), slide, size [, offset])`` or ``SESSION(TABLE t [PARTITION BY k], DESCRIPTOR(ts), gap)``, then
    ``[WHERE ...] GROUP BY ..., window_start, window_end [HAVING ...] [ORDER BY ...] [LIMIT ...]``.

    Args:
        text: The query.
        threads: As for `cepheid.match`. What is no number is the table of that name.
        tables: The tables it may name, as for `cepheid.match`. Names that are not quoted in the query match without
            regard to case.

    Returns:
        The rows selected, with the columns that the standard gives them.

    Raises:
        TypeError: The text is no string.
        SqlError: The text is no such query (the message shows where), or names a table that was not given (code
            ``unknown-table``).
        PatternError: `threads` is below one (code ``invalid-clause``).
        SchemaError: The data cannot be read as a table, or a column is missing or of another type.
        EvaluationError: A value led to an overflow, a division by zero, or a failed conversion.
        MatchError: The target of AFTER MATCH SKIP has no row, or is the first row of the match.
        StateLimitError: The search passed its limit of steps.

    Example:
        >>> import cepheid as cep
        >>> query = '''
        ...     SELECT low, high FROM prices MATCH_RECOGNIZE (
        ...         MEASURES A.x AS low, LAST(B.x) AS high
        ...         PATTERN (A B+)
        ...         DEFINE B AS x > PREV(x)
        ...     )
        ... '''
        >>> cep.sql(query, prices={"x": [5, 1, 2, 3, 1]}).to_numpy()
        {'low': array([1]), 'high': array([3])}
        >>> query = '''
        ...     SELECT shop, SUM(amount) AS total
        ...     FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(ts), INTERVAL '10' SECOND))
        ...     GROUP BY shop, window_start, window_end
        ...     HAVING COUNT(*) > 1
        ... '''
        >>> orders = {"ts": [0, 1_000_000_000, 2_000_000_000], "shop": ["a", "b", "a"], "amount": [5, 7, 9]}
        >>> list(cep.sql(query, orders=orders))
        [{'shop': 'a', 'total': 14}]
    """
    query = parse(text)
    if threads is not None and not isinstance(threads, Integral):
        tables["threads"], threads = threads, None
    threads = checked_count(threads, "threads")
    from cepheid.input import table_of

    return Matches._of(query.run(table_of(tables[table_name(query, list(tables))]), threads=threads))


def pattern_from_sql(text: str) -> Pattern:
    """A pattern written in SQL, to be matched, or added to an engine.

    Args:
        text: A ``MATCH_RECOGNIZE (...)`` clause, or a ``SELECT * FROM table MATCH_RECOGNIZE (...)``.

    Raises:
        TypeError: The text is no string.
        SqlError: It is no such text; the message shows where.

    Example:
        >>> import cepheid as cep
        >>> pattern = cep.pattern_from_sql("MATCH_RECOGNIZE (PATTERN (A B+) DEFINE B AS x > PREV(x))")
        >>> pattern.variables
        ('A', 'B')
    """
    return Pattern._from_native(_native.Pattern.from_sql(checked_text(text)))


def window_from_sql(text: str) -> Window:
    """A window written in SQL, as `sql` takes them, to be asked of tables, or added to an engine.

    Args:
        text: A ``SELECT ... FROM TABLE(TUMBLE(...)) [WHERE ...] GROUP BY ...``. The window gives its keys, window_start
            and window_end under their own names, and each other column selected as a measure.

    Raises:
        TypeError: The text is no string.
        SqlError: It is no such text, or filters, orders or renames what the window gives; the message shows where.

    Example:
        >>> import cepheid as cep
        >>> cep.window_from_sql('''
        ...     SELECT shop, window_end, SUM(amount) AS total
        ...     FROM TABLE(HOP(TABLE orders, DESCRIPTOR(ts), INTERVAL '5' SECOND, INTERVAL '1' MINUTE))
        ...     GROUP BY shop, window_start, window_end
        ... ''')
        cep.window(total=col.amount.sum(), by='shop', event_time='ts').hopping('1m', every='5s')
    """
    return Window._from_native(_native.Window.from_sql(checked_text(text)))


def parse(text: str) -> _native.Query:
    """The query that a text spells; kept, as the same text is often run again."""
    return _parsed(checked_text(text))


@lru_cache(maxsize=128)
def _parsed(text: str) -> _native.Query:
    return _native.Query.parse(text)


def checked_text(text: Any) -> str:
    """A text that can be handed to the parser."""
    if not isinstance(text, str):
        raise TypeError(f"SQL is text, not {type(text).__name__}")
    return encodable(text)


def table_name(query: _native.Query, known: list[str]) -> str:
    """Which of the tables given the query reads.

    Raises:
        SqlError: None of them has its name (code ``unknown-table``).
    """
    name = query.table
    found = name if query.table_quoted else resolve_name(name, known)
    if found not in known:
        hint = nearest_name(name, known)
        meant = f" (did you mean `{hint}`?)" if hint else ""
        raise SqlError(
            f"there is no table `{name}`{meant}; given were {listed_names(known)}",
            code="unknown-table",
            known=known,
            hint=hint,
        )
    return found
