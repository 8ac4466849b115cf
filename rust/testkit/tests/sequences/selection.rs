//! Which matches: after-match skips, `having`, order.

use cepheid_ir::{
    AfterMatchSkip::{Consume, None as Regardless, PastLastRow, ToNextRow},
    BinaryOp, Expr, SkipRow,
};

use super::notation::*;

fn loop_then_b() -> cepheid_ir::PatternNode {
    seq(many(event("a")), [(Then, event("b"))])
}

#[test]
fn after_match_under_first() {
    let rows = "a a b a b";
    check(&first(loop_then_b()).after(PastLastRow), rows, &["a0 a1 b2", "a3 b4"]);
    check(&first(loop_then_b()).after(ToNextRow), rows, &["a0 a1 b2", "a1 b2", "a3 b4"]);
    check(&first(loop_then_b()).after(Regardless), rows, &["a0 a1 b2", "a1 b2", "a3 b4"]);
    check(&first(loop_then_b()).after(to("a", SkipRow::Last, false)), rows, &["a0 a1 b2", "a1 b2", "a3 b4"]);
    check(&first(loop_then_b()).after(to("b", SkipRow::First, false)), rows, &["a0 a1 b2", "a3 b4"]);
}

#[test]
fn after_match_under_all() {
    let rows = "a a b b";
    let any = || seq(many(event("a")), [(Any, event("b"))]);
    check(&all(any()), rows, &["a0 a1 b2", "a0 b2", "a1 b2", "a0 a1 b3", "a0 b3", "a1 b3"]);
    // The preferred one of the first completions: it stayed longer in its loop.
    check(&all(any()).after(PastLastRow), rows, &["a0 a1 b2"]);
    check(&all(any()).after(ToNextRow), rows, &["a0 a1 b2", "a1 b2"]);
    check(&all(any()).after(Consume), rows, &["a0 a1 b2", "a0 b2", "a1 b2"]);
}

#[test]
fn a_skip_to_a_variable_forgets_runs_begun_before_its_row() {
    let rows = "a a b b";
    let any = || all(seq(many(event("a")), [(Any, event("b"))]));
    // To the last a, row 1: what row 0 began is forgotten.
    check(&any().after(to("a", SkipRow::Last, false)), rows, &["a0 a1 b2", "a1 b2", "a1 b3"]);
    // To the first a, the match's own first row: nothing is, and row 0 keeps row 1 waiting to the end.
    let expected = ["a0 a1 b2", "a0 b2", "a0 a1 b3", "a0 b3", "a1 b2", "a1 b3"];
    check(&any().after(to("a", SkipRow::First, false)), rows, &expected);
}

#[test]
fn strict_skips_to_a_variable_are_errors_where_there_is_nowhere_to_go() {
    let root = || seq(event("a"), [(Then, optional(event("b"))), (Then, event("c"))]);
    check(&first(root()).after(to("b", SkipRow::First, false)), "a c", &["a0 c1"]);
    check_error(&first(root()).after(to("b", SkipRow::First, true)), "a c", "skip-target-missing");
    check_error(&first(root()).after(to("a", SkipRow::First, true)), "a c", "skip-target-is-first-row");
    check(&first(root()).after(to("b", SkipRow::First, true)), "a b c", &["a0 b1 c2"]);
}

#[test]
fn a_match_waits_for_earlier_runs_unless_matches_are_independent() {
    // Row 0 waits for c and d; row 1 is complete at c already.
    let root = || either([seq(event("a"), [(Then, event("d"))]), seq(event("b"), [(Then, event("c"))])]);
    check(&first(root()), "a b c d", &["a0 d3"]);
    check(&first(root()), "a@0 b@1 c@2 x@3", &["b1 c2 @end"]);
    check(&first(root()).after(ToNextRow), "a@0 b@1 c@2 d@3", &["b1 c2 @3", "a0 d3 @3"]);
    check(&first(root()).after(Regardless), "a@0 b@1 c@2 d@3", &["b1 c2 @2", "a0 d3 @3"]);
}

#[test]
fn consume_forgets_what_the_completing_row_would_begin() {
    let root = || seq(event("any"), [(Then, event("b"))]);
    check(&first(root()).after(Consume), "a b b", &["any0 b1"]);
    check(&first(root()).after(Consume), "a b b b", &["any0 b1", "any2 b3"]);
    check(&first(root()).after(Consume), "a a b b", &["any0 b2", "any1 b2"]);
}

#[test]
fn having_drops_what_selection_has_chosen_before_it_can_forget() {
    let big = Expr::binary(BinaryOp::Greater, Expr::column("v"), Expr::literal(5_i64));
    let pattern = first(seq(event("a"), [(Any, event("b"))])).having(big.clone());
    // The match of row 0 ends at b1, and is dropped; b2 is not tried instead.
    check(&pattern, "a:0 b:1 b:9", &[]);
    check(&pattern.clone().after(Regardless), "a:0 a:0 b:9", &["a0 b2", "a1 b2"]);
    let pattern = all(seq(event("a"), [(Any, event("b"))])).having(big);
    check(&pattern.clone(), "a:0 b:1 b:9", &["a0 b2"]);
    check(&pattern.after(PastLastRow), "a:0 b:1 a:0 b:9", &["a0 b3"]);
}

#[test]
fn equal_sets_are_one_match_however_many_ways_lead_to_it() {
    let nested = times(times(event("a"), 1, None, Then), 1, None, Then);
    check(&all(nested), "a a", &["a0", "a0 a1", "a1"]);
}

#[test]
fn derived_events_are_ordered_by_decision_then_last_row_then_first_row() {
    let pattern = all(seq(event("a"), [(Then, absent_for("x", 10))])).by_key();
    check(&pattern, "a@0/x a@0/y a@5/x", &["a0 @10m", "a1 @10m", "a2 @15m"]);
    // A deadline comes before every row of its time.
    let root = either([seq(event("a"), [(Then, absent_for("x", 10))]), event("b")]);
    check(&all(root), "b@10 a@0", &["a1 @10m", "b0 @1"]);
}

#[test]
fn equal_times_go_by_arrival() {
    let pattern = first(seq(event("a"), [(Then, event("b"))]));
    check(&pattern, "b@5 a@5 b@5 a@1", &["a3 b0", "a1 b2"]);
}

#[test]
fn a_preferred_run_that_may_still_complete_withholds_the_match() {
    // (a then b then c), else (a then b): known when c comes, or can no longer.
    let root = || seq(event("a"), [(Then, event("b")), (Then, optional(event("c")))]);
    check(&first(root()).within(minutes(10)), "a@0 b@1 c@5", &["a0 b1 c2 @2"]);
    check(&first(root()).within(minutes(10)), "a@0 b@1 x@15", &["a0 b1 @10m"]);
    check(&first(root()).within(minutes(10)), "a@0 b@1 c@10", &["a0 b1 @10m"]);
}
