//! Queries of windows: what they are read into, and what is refused.

use cepheid_ir::{
    Anchor, BinaryOp, ColumnName, Expr, Frame, Pattern, RowPointer, SelectItem, Window, WindowQuery,
};
use cepheid_sql::{SqlError, Statement, parse_pattern, parse_query, parse_statement, parse_window};

const SECOND: i64 = 1_000_000_000;
const TUMBLE: &str = "TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '10' SECOND)";

/// A query with its parts in place.
fn text(items: &str, function: &str, rest: &str) -> String {
    format!("SELECT {items} FROM TABLE({function}) {rest}")
}

fn query(items: &str, rest: &str) -> WindowQuery {
    let text = text(items, TUMBLE, rest);
    match parse_statement(&text) {
        Ok(Statement::Window(query)) => query,
        other => panic!("{text} gives {other:?}"),
    }
}

fn frame(function: &str, group_by: &str) -> Frame {
    let text = text("COUNT(*) AS n", function, &format!("GROUP BY {group_by} window_start, window_end"));
    parse_window(&text).unwrap_or_else(|error| panic!("{text} does not parse:\n{error}")).frame
}

fn error(items: &str, function: &str, rest: &str) -> SqlError {
    let text = text(items, function, rest);
    match parse_statement(&text) {
        Ok(statement) => panic!("{text} parses: {statement:?}"),
        Err(error) => error,
    }
}

fn measures(window: &Window) -> Vec<&str> {
    window.measures.iter().map(|measure| measure.name.as_str()).collect()
}

/// The columns that the outer part reads, output column by output column; `?`: it computes.
fn selected(query: &WindowQuery) -> Vec<(&str, &str)> {
    let read = |item| match item {
        &SelectItem::Value { ref name, value: Expr::Column { name: ref column, .. } } => {
            (name.as_str(), column.as_str())
        }
        SelectItem::Value { name, .. } => (name.as_str(), "?"),
        SelectItem::All => ("*", "*"),
    };
    query.select.iter().map(read).collect()
}

#[test]
fn every_function_gives_its_frame() {
    let time = |size, every, offset| Frame::Time {
        size_ns: size * SECOND,
        every_ns: every * SECOND,
        offset_ns: offset * SECOND,
    };
    let table = [
        (TUMBLE, "", time(10, 10, 0)),
        ("TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' MINUTES, INTERVAL '10' SECOND)", "", time(60, 60, 10)),
        ("TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' MINUTE, INTERVAL -'10' SECOND)", "", time(60, 60, 50)),
        ("HOP(TABLE t, DESCRIPTOR(ts), INTERVAL '5' SECOND, INTERVAL '60' SECOND)", "", time(60, 5, 0)),
        ("hop(table t, descriptor(ts), interval '5' second, interval '3' second)", "", time(3, 5, 0)),
        (
            "HOP(DATA => TABLE t, TIMECOL => DESCRIPTOR(ts), SIZE => INTERVAL '9' SECOND, SLIDE => INTERVAL '3' SECOND, OFFSET => INTERVAL '7' SECOND)",
            "",
            time(9, 3, 1),
        ),
        (
            "SESSION(TABLE t PARTITION BY card, DESCRIPTOR(ts), INTERVAL '30' SECOND)",
            "card,",
            Frame::Session { gap_ns: 30 * SECOND },
        ),
        (
            "SESSION(TABLE t PARTITION BY (a, B), DESCRIPTOR(ts), GAP => INTERVAL '30' SECOND)",
            "b, a,",
            Frame::Session { gap_ns: 30 * SECOND },
        ),
        (
            "SESSION(TABLE t, DESCRIPTOR(ts), INTERVAL '1' DAY)",
            "",
            Frame::Session { gap_ns: 86_400 * SECOND },
        ),
    ];
    assert_eq!(table.len(), 9, "cases were added or lost");
    for (function, group_by, expected) in table {
        assert_eq!(frame(function, group_by), expected, "for {function}");
    }
}

#[test]
fn what_is_asked_of_rows_is_a_measure_and_the_rest_is_computed_from_them() {
    let query = query(
        "w.card AS c, Window_Start, SUM(x) / COUNT(*) AS mean, MAX(y) - window_end AS late, SUM(x), 1 AS one",
        "AS w WHERE w.x > 1 GROUP BY card, window_start, w.window_end",
    );
    assert_eq!((query.table.as_str(), query.table_quoted), ("t", false));
    let column = |name: &str| ColumnName { name: name.into(), quoted: false };
    assert_eq!(query.window.partition_by, [column("card")]);
    assert_eq!(query.window.event_time, Some(column("ts")));
    assert_eq!(measures(&query.window), ["mean", "_measure1", "_col4"]);
    assert_eq!(
        selected(&query),
        [
            ("c", "card"),
            ("Window_Start", "Window_Start"),
            ("mean", "mean"),
            ("late", "?"),
            ("_col4", "_col4"),
            ("one", "?")
        ]
    );
    assert!(query.window.condition.is_some());
}

#[test]
fn the_outer_clauses_share_measures_with_what_is_selected() {
    let query = query(
        "card, SUM(x) AS total, SUM(y) AS TOTAL, SUM(z) AS card",
        "GROUP BY card, window_start, window_end HAVING SUM(x) > 1 AND COUNT(*) > 2 AND window_end > 0 \
         ORDER BY total DESC, 2, MIN(x) NULLS FIRST, SUM(x) OFFSET 2 LIMIT 3",
    );
    // A name that something else has, but for its case, would not find its column.
    assert_eq!(measures(&query.window), ["total", "_measure1", "_measure2", "_measure3", "_measure4"]);
    assert_eq!(
        selected(&query),
        [("card", "card"), ("total", "total"), ("TOTAL", "_measure1"), ("card", "_measure2")]
    );
    assert!(query.having.is_some());
    assert_eq!((query.offset, query.limit), (2, Some(3)));
    let ordered: Vec<_> = query.order_by.iter().map(|item| &item.value).collect();
    let named = |value: &Expr| match value {
        Expr::Column { name, .. } => name.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(ordered.into_iter().map(named).collect::<Vec<_>>(), ["total", "total", "_measure4", "total"]);
}

#[test]
fn rows_may_be_asked_for_by_their_place() {
    let query = query("FIRST(x) AS f, LAST(x) AS l, LAST(x) + 1 AS m", "GROUP BY window_start, window_end");
    let first = RowPointer { anchor: Anchor::First, ..RowPointer::default() };
    let x = |at| Expr::Column { name: "x".into(), quoted: false, at };
    let values: Vec<_> = query.window.measures.iter().map(|measure| &measure.value).collect();
    let next = Expr::binary(BinaryOp::Add, Expr::column("x"), Expr::literal(1_i64));
    assert_eq!(values, [&x(first), &x(RowPointer::default()), &next]);
}

#[test]
fn a_window_without_aggregates_has_a_measure_nobody_sees() {
    let query = query("card, window_end", "GROUP BY card, window_start, window_end");
    assert_eq!(measures(&query.window), ["_measure0"]);
    assert_eq!(selected(&query), [("card", "card"), ("window_end", "window_end")]);
}

#[test]
fn errors_show_the_place_and_what_to_do() {
    let group = "GROUP BY card, window_start, window_end";
    let by_t = &format!("{group} ORDER BY t DESC");
    let by_either = &format!("{group} ORDER BY tot DESC");
    let t = TUMBLE;
    let month = "TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' MONTH)";
    let zero = "TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '0' SECOND)";
    let table = [
        // Items, function, rest; code, what lies under the caret, a part of the message.
        ("card, y", t, group, "invalid-expression", "y", "`y` is neither grouped by nor in an aggregate"),
        ("SUM(x) + caard", t, group, "invalid-expression", "SUM(x) + caard", "add it to GROUP BY"),
        ("*", t, group, "unsupported", "*", "names its columns"),
        ("PREV(x)", t, group, "invalid-expression", "PREV(x)", "not of a window"),
        ("CLASSIFIER()", t, group, "invalid-expression", "CLASSIFIER()", "not of a window"),
        ("FINAL SUM(x)", t, group, "invalid-expression", "FINAL", "MATCH_RECOGNIZE only"),
        ("LAST(x, 1)", t, group, "invalid-expression", "LAST(x, 1)", "only the first and the last"),
        ("SUM(SUM(x))", t, group, "invalid-expression", "SUM(x)", "inside an aggregate"),
        ("SUM(x) OVER (ORDER BY y)", t, group, "unsupported", "OVER", "DuckDB or Polars"),
        ("v.card", t, group, "unknown-alias", "v", "the windows have no alias"),
        ("SUM(x)", t, "", "syntax", "", "add GROUP BY window_start, window_end"),
        ("SUM(x)", t, "GROUP BY card", "invalid-expression", "GROUP BY card", "add window_start, window_end"),
        (
            "SUM(x)",
            t,
            "GROUP BY window_start",
            "invalid-expression",
            "GROUP BY window_start",
            "add window_end",
        ),
        ("SUM(x)", t, "GROUP BY x + 1", "unsupported", "x + 1", "grouped by columns"),
        ("SUM(x)", t, "GROUP BY CUBE (card)", "unsupported", "CUBE", "more than one grouping"),
        (
            "SUM(x)",
            t,
            "WHERE SUM(x) > 1 GROUP BY card",
            "invalid-expression",
            "GROUP BY card",
            "add window_start",
        ),
        ("SUM(x)", t, "JOIN u", "unsupported", "JOIN", "a join cannot stand here; select the windows"),
        (
            "SUM(x)",
            t,
            "MATCH_RECOGNIZE (PATTERN (A))",
            "unsupported",
            "MATCH_RECOGNIZE",
            "a pattern over windows",
        ),
        ("SUM(x)", t, ", u", "unsupported", ",", "a second table"),
        ("SUM(x)", month, group, "invalid-literal", "INTERVAL '1' MONTH", "fixed length"),
        ("SUM(x)", zero, group, "invalid-literal", "INTERVAL '0' SECOND", "SIZE must be longer than zero"),
        ("SUM(x)", "TUMBLE(TABLE t)", group, "syntax", ")", "TIMECOL is missing: TUMBLE(TABLE t, "),
        ("SUM(x)", "TUMBLE(t, DESCRIPTOR(ts))", group, "syntax", "t", "cannot stand here"),
        ("SUM(x)", "TUMBLE(TABLE t, ts)", group, "syntax", "ts", "cannot stand here"),
        ("SUM(x)", "TUMBLE(TABLE a.b, DESCRIPTOR(ts))", group, "unsupported", ".", "leave the schema out"),
        ("SUM(x)", "TUMBLE(DATA => TABLE t, DATA => TABLE t)", group, "syntax", "DATA", "given twice"),
        (
            "SUM(x)",
            "TUMBLE(DATA => TABLE t, DESCRIPTOR(ts))",
            group,
            "syntax",
            "DESCRIPTOR",
            "cannot stand here",
        ),
        ("SUM(x)", "TUMBLE(TABLE t PARTITION BY k, ts)", group, "unsupported", "PARTITION", "only sessions"),
        ("SUM(x)", "TUMBEL(TABLE t)", group, "unknown-function", "TUMBEL", "cannot stand here"),
        ("SUM(x)", "CUMULATE(TABLE t)", group, "unsupported", "CUMULATE", "no counterpart"),
        (
            "SUM(x) AS t, SUM(y) AS t",
            t,
            by_t,
            "invalid-expression",
            "t",
            "several output columns are named `t`",
        ),
        ("SUM(x) AS Tot, SUM(y) AS TOT", t, by_either, "invalid-expression", "tot", "a name of its own"),
    ];
    assert_eq!(table.len(), 32, "cases were added or lost");
    for (items, function, rest, code, marked, message) in table {
        let whole = text(items, function, rest);
        let found = error(items, function, rest);
        assert_eq!(found.code(), code, "for {whole}:\n{found}");
        assert_eq!(&whole[found.span().start..found.span().end], marked, "for {whole}:\n{found}");
        assert!(found.message().contains(message), "for {whole}:\n{found}");
    }
    assert_eq!(error("SUM(x)", "TUMBEL(TABLE t)", group).nearest(), Some("TUMBLE"));
    assert_eq!(error("card, caard", TUMBLE, group).nearest(), Some("card"));
}

#[test]
fn conditions_on_rows_and_on_windows_stand_in_their_own_clauses() {
    let group = "GROUP BY window_start, window_end";
    let found = error("SUM(x)", TUMBLE, &format!("WHERE MAX(x) > 1 {group}"));
    assert!(found.message().contains("put what is asked of all rows into HAVING"), "{found}");
    let found = error("SUM(x)", TUMBLE, &format!("WHERE window_end > 1 {group}"));
    assert!(found.message().contains("window_end is a column of the window"), "{found}");
    let session = "SESSION(TABLE t, DESCRIPTOR(ts), INTERVAL '1' DAY)";
    let found = error("SUM(x)", session, &format!("WHERE x > 1 {group}"));
    assert!(found.message().contains("filter the table first"), "{found}");
    let found = error("SUM(x)", session, &format!("{group}, card"));
    assert!(found.message().contains("PARTITION BY must name the columns that GROUP BY does"), "{found}");
}

#[test]
fn a_window_for_an_engine_is_all_that_its_query_says() {
    let group = "GROUP BY card, window_start, window_end";
    let whole = text("window_end, card, SUM(x) AS total, COUNT(*) AS n", TUMBLE, group);
    let window = parse_window(&whole).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(measures(&window), ["total", "n"]);
    assert_eq!(Window::from_json(&window.to_json()), Ok(window));
    let refused = [
        ("SUM(x) AS s", "HAVING SUM(x) > 1", "HAVING"),
        ("SUM(x) AS s", "ORDER BY 1", "ORDER"),
        ("SUM(x) AS s", "LIMIT 1", "LIMIT"),
        ("card AS c, SUM(x) AS s", "", "card"),
        ("SUM(x) AS s, SUM(y) AS s", "", "SUM(y)"),
        ("SUM(x) - window_end AS s", "", "SUM(x) - window_end"),
        ("card", "", TUMBLE),
    ];
    assert_eq!(refused.len(), 7, "cases were added or lost");
    for (items, rest, marked) in refused {
        let whole = text(items, TUMBLE, &format!("{group} {rest}"));
        let Err(found) = parse_window(&whole) else { panic!("{whole} parses") };
        assert_eq!(found.code(), "unsupported", "for {whole}");
        assert_eq!(&whole[found.span().start..found.span().end], marked, "for {whole}:\n{found}");
        assert!(parse_statement(&whole).is_ok(), "{whole} is a query all the same");
    }
}

#[test]
fn patterns_and_windows_are_told_apart() {
    let pattern = "SELECT * FROM t MATCH_RECOGNIZE (PATTERN (A) DEFINE A AS x > 1)";
    let window = text("COUNT(*) AS n", TUMBLE, "GROUP BY window_start, window_end");
    assert!(matches!(parse_statement(pattern), Ok(Statement::Pattern(_))));
    let Err(found) = parse_window(pattern) else { panic!("a pattern is a window") };
    assert!(found.message().contains("pattern_from_sql"), "{found}");
    let read: Result<Pattern, SqlError> = parse_pattern(&window);
    assert!(read.is_err_and(|found| found.message().contains("window_from_sql")));
    assert!(parse_query(&window).is_err());
}
