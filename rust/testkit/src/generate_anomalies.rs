//! Random anomaly rules, and tables with ties, gaps and values that are none.

use arrow_schema::{DataType, TimeUnit};
use cepheid_ir::{Anomaly, AnomalyMethod, BinaryOp, ColumnName, Expr, RecentRows, ReportedRows};

use crate::generate_events::MINUTE;
use crate::generate_streams::EVENT_TIME;
use crate::split_mix::SplitMix64;
use crate::text_table::{TextColumn, TextTable};
use crate::value::RefValue;

/// Most rows of a table.
const ROWS_MAX: usize = 40;

/// What a method is called.
pub fn method_kind(method: &AnomalyMethod) -> &'static str {
    match method {
        AnomalyMethod::Ewma { .. } => "ewma",
        AnomalyMethod::Mad { recent: RecentRows::Rows(_), .. } => "mad by rows",
        AnomalyMethod::Mad { .. } => "mad by time",
        AnomalyMethod::Cusum { .. } => "cusum",
        AnomalyMethod::QuantileBand { recent: RecentRows::Rows(_), .. } => "quantile band by rows",
        AnomalyMethod::QuantileBand { .. } => "quantile band by time",
        AnomalyMethod::RateOfChange { .. } => "rate of change",
        AnomalyMethod::Seasonal { .. } => "seasonal",
    }
}

/// A valid rule in normal spelling; the same for the same numbers.
pub fn random_anomaly(random: &mut SplitMix64) -> Anomaly {
    let v = || Expr::column("v");
    let rule = Anomaly {
        name: None,
        topic: None,
        partition_by: if random.chance(70) { vec![ColumnName::unquoted("p")] } else { vec![] },
        condition: match random.below(5) {
            0 => Some(Expr::binary(BinaryOp::NotEqual, Expr::column("p"), Expr::literal("y"))),
            1 => Some(Expr::binary(BinaryOp::Less, v(), Expr::literal(9.0))),
            _ => None,
        },
        value: match random.below(4) {
            0 => Expr::binary(BinaryOp::Multiply, v(), Expr::literal(0.5)),
            1 => Expr::column("k"),
            _ => v(),
        },
        method: method(random),
        rows: *random.choose(&[ReportedRows::All, ReportedRows::All, ReportedRows::Flagged]),
        emit: None,
        event_time: None,
    };
    rule.validate().expect("a rule that can be");
    rule.normalise()
}

fn method(random: &mut SplitMix64) -> AnomalyMethod {
    let threshold = *random.choose(&[0.0, 0.5, 1.0, 1.5, 2.0, 3.0]);
    // So many rows at most that weights do not sink to where floats have no digits left.
    let alpha = *random.choose(&[0.05, 0.1, 0.25, 0.3]);
    let warm_up = *random.choose(&[1, 2, 3, 5]);
    let learn_anomalies = random.chance(60);
    let recent = if random.chance(50) {
        RecentRows::Rows(warm_up + random.below(8) as u64)
    } else {
        RecentRows::SpanNs(random.between(1, 12) * MINUTE)
    };
    match random.below(6) {
        0 => AnomalyMethod::Ewma { alpha, threshold, warm_up, learn_anomalies },
        1 => AnomalyMethod::Mad { recent, threshold, warm_up, learn_anomalies },
        2 => {
            AnomalyMethod::Cusum { drift: *random.choose(&[0.0, 0.25, 0.5]), threshold, warm_up: warm_up + 1 }
        }
        3 => AnomalyMethod::QuantileBand {
            low: *random.choose(&[0.0, 0.1, 0.25]),
            high: *random.choose(&[0.5, 0.75, 0.99, 1.0]),
            recent,
            margin: *random.choose(&[0.0, 0.0, 0.5, 1.0]),
            warm_up,
            learn_anomalies,
        },
        4 => AnomalyMethod::RateOfChange {
            limit: *random.choose(&[0.25, 1.0, 2.0]),
            per_ns: *random.choose(&[MINUTE, MINUTE / 2, 10 * MINUTE]),
        },
        _ => {
            let parts = random.between(1, 4);
            let every_ns = random.between(1, 3) * MINUTE;
            let offset_ns =
                if random.chance(50) { 0 } else { random.between(0, parts * every_ns / MINUTE - 1) * MINUTE };
            AnomalyMethod::Seasonal {
                period_ns: parts * every_ns,
                every_ns,
                offset_ns,
                alpha,
                threshold,
                warm_up: *random.choose(&[1, 1, 2, 3]),
                learn_anomalies,
            }
        }
    }
}

/// A table; the same for the same numbers. Columns: `p` (string, the key), `ts` (timestamp in whole minutes, in disorder now and
/// then), `v` (float64 in quarters, sometimes NULL, NaN or infinite), `k` (int64). `null_times`: event times may be NULL.
pub fn random_readings(random: &mut SplitMix64, null_times: bool) -> TextTable {
    let column = |name: &str, data_type| TextColumn { name: name.into(), data_type, declared: true };
    let columns = vec![
        column("p", DataType::Utf8),
        column(EVENT_TIME, DataType::Timestamp(TimeUnit::Nanosecond, None)),
        column("v", DataType::Float64),
        column("k", DataType::Int64),
    ];
    let count = if random.chance(90) { ROWS_MAX / 2 + random.below(ROWS_MAX / 2) } else { random.below(5) };
    let (keys, spread) = (1 + random.below(3), random.between(0, 6));
    let ordered = random.chance(60);
    let mut time = random.between(-20, 20);
    let mut rows = vec![];
    for _ in 0..count {
        time += if random.chance(5) { random.between(5, 30) } else { random.between(0, 2) };
        let shown = if ordered { time } else { time + random.between(-3, 3) };
        let value = match random.below(40) {
            0 | 1 => RefValue::Null,
            2 => RefValue::Float(f64::NAN),
            3 => RefValue::Float(*random.choose(&[f64::INFINITY, f64::NEG_INFINITY, 1e200])),
            4..=6 => RefValue::Float(random.between(-60, 60) as f64),
            7 => RefValue::Float(-0.0),
            _ => RefValue::Float(random.between(-spread, spread) as f64 / 4.0),
        };
        let key = RefValue::String(["x", "y", "z"][random.below(keys)].to_owned());
        let number = RefValue::Integer(random.between(-spread, spread).into());
        let or_null = |percent: usize, value: RefValue, random: &mut SplitMix64| {
            if random.chance(percent) { RefValue::Null } else { value }
        };
        rows.push(vec![
            or_null(5, key, random),
            or_null(if null_times { 10 } else { 0 }, RefValue::Timestamp(shown * MINUTE), random),
            value,
            or_null(5, number, random),
        ]);
    }
    TextTable { columns, rows }
}
