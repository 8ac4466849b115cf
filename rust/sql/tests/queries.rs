//! The query around the clause.

use cepheid_ir::{BinaryOp, Expr, OrderItem, Query, RowPointer, SelectItem};
use cepheid_sql::parse_query;

const CLAUSE: &str = "MATCH_RECOGNIZE (MEASURES SUM(A.x) AS total PATTERN (A+))";

/// The query with `{}` replaced by a clause.
fn parse(text: &str) -> Query {
    parse_query(&text.replace("{}", CLAUSE)).unwrap_or_else(|error| panic!("{text} does not parse:\n{error}"))
}

fn value(name: &str, value: Expr) -> SelectItem {
    SelectItem::Value { name: name.into(), value }
}

fn total() -> Expr {
    Expr::column("total")
}

#[test]
fn output_columns_are_named_as_written() {
    let double = || Expr::binary(BinaryOp::Multiply, total(), Expr::literal(2_i64));
    let quoted = Expr::Column { name: "Total".into(), quoted: true, at: RowPointer::default() };
    let table = vec![
        ("SELECT * FROM t {}", vec![SelectItem::All]),
        ("SELECT m.* FROM t {} AS m", vec![SelectItem::All]),
        ("SELECT *, total FROM t {}", vec![SelectItem::All, value("total", total())]),
        ("SELECT Total FROM t {}", vec![value("Total", Expr::column("Total"))]),
        ("SELECT \"Total\" FROM t {}", vec![value("Total", quoted)]),
        ("SELECT m.total FROM t {} m", vec![value("total", total())]),
        ("SELECT M.total FROM t {} m", vec![value("total", total())]),
        ("SELECT total AS Sum FROM t {}", vec![value("Sum", total())]),
        ("SELECT total \"a b\" FROM t {}", vec![value("a b", total())]),
        ("SELECT total first FROM t {}", vec![value("first", total())]),
        (
            "SELECT total * 2, total, total * 2 FROM t {}",
            vec![value("_col0", double()), value("total", total()), value("_col2", double())],
        ),
    ];
    assert_eq!(table.len(), 11, "cases were added or lost");
    for (text, select) in table {
        assert_eq!(parse(text).select, select, "for {text}");
    }
}

#[test]
fn the_tail_of_the_query_is_kept() {
    let query = parse(
        "SELECT total AS n, key FROM \"Trades\" AS x {} AS m \
         WHERE m.total > 1 AND key IS NOT NULL ORDER BY 1 DESC, key NULLS FIRST, m.total + 1 OFFSET 5 ROWS LIMIT 10;",
    );
    assert_eq!((query.table.as_str(), query.table_quoted), ("Trades", true));
    assert_eq!((query.offset, query.limit), (5, Some(10)));
    let more = Expr::binary(BinaryOp::Greater, total(), Expr::literal(1_i64));
    let has_key = Expr::Not(Box::new(Expr::IsNull(Box::new(Expr::column("key")))));
    assert_eq!(query.filter, Some(Expr::And(vec![more, has_key])));
    let n = Expr::Column { name: "n".into(), quoted: true, at: RowPointer::default() };
    let plus = Expr::binary(BinaryOp::Add, total(), Expr::literal(1_i64));
    assert_eq!(
        query.order_by,
        vec![
            OrderItem { value: n, descending: true, nulls_first: false },
            OrderItem { value: Expr::column("key"), descending: false, nulls_first: true },
            OrderItem { value: plus, descending: false, nulls_first: false },
        ]
    );
}

#[test]
fn a_counted_column_is_one_that_its_name_finds() {
    // The code, and the text at fault; `{}` is the clause.
    let table = [
        ("SELECT total, 1 AS total FROM t {} ORDER BY 2", "invalid-expression", "2"),
        ("SELECT total, 1 AS n, 2 AS n FROM t {} ORDER BY 1, 2", "invalid-expression", "2"),
        ("SELECT total FROM t {} ORDER BY 2", "invalid-expression", "2"),
        ("SELECT total FROM t {} ORDER BY 0", "invalid-expression", "0"),
        ("SELECT total FROM t {} ORDER BY -1", "invalid-expression", "-1"),
        ("SELECT total, * FROM t {} ORDER BY 2", "unsupported", "2"),
        ("SELECT total, *, total FROM t {} ORDER BY 1", "invalid-expression", "1"),
    ];
    for (text, code, place) in table {
        let text = text.replace("{}", CLAUSE);
        let error = parse_query(&text).expect_err(&text);
        assert_eq!(error.code(), code, "for {text}:\n{error}");
        let span = error.span();
        assert_eq!(&text[span.start..span.end], place, "for {text}:\n{error}");
    }
    assert_eq!(table.len(), 7);
    let query = parse("SELECT total, 1 AS \"Total\", * FROM t {} ORDER BY 2, 1");
    let names = query.order_by.iter().map(|item| match &item.value {
        Expr::Column { name, quoted: true, .. } => name.as_str(),
        other => panic!("{other:?}"),
    });
    assert_eq!(names.collect::<Vec<_>>(), ["Total", "total"]);
}

#[test]
fn limits_have_every_form() {
    let table = [
        ("", 0, None),
        ("LIMIT 3", 0, Some(3)),
        ("LIMIT ALL", 0, None),
        ("LIMIT 3 OFFSET 4", 4, Some(3)),
        ("OFFSET 4 LIMIT 3", 4, Some(3)),
        ("OFFSET 4 ROW", 4, None),
        ("FETCH FIRST 3 ROWS ONLY", 0, Some(3)),
        ("FETCH NEXT ROW ONLY", 0, Some(1)),
        ("OFFSET 4 ROWS FETCH NEXT 3 ROWS ONLY", 4, Some(3)),
    ];
    for (text, offset, limit) in table {
        let query = parse(&format!("SELECT * FROM t {{}} {text}"));
        assert_eq!((query.offset, query.limit), (offset, limit), "for {text}");
        assert_eq!(query.table, "t");
    }
    assert_eq!(table.len(), 9);
}
