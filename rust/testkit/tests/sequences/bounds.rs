//! Bounds: of the pattern, of parts, between neighbours, by rows.

use cepheid_ir::{Between::FirstToLast, Between::Neighbours, Within};

use super::notation::*;

#[test]
fn within_is_exclusive_at_its_end() {
    let pattern = first(seq(event("a"), [(Then, event("b"))])).within(minutes(10));
    check(&pattern, "a@0 b@9", &["a0 b1"]);
    check(&pattern, "a@0 b@10", &[]);
}

#[test]
fn within_by_rows_counts_the_rows_of_the_partition() {
    let pattern = first(seq(event("a"), [(Then, event("b"))])).within(Within::Rows(2));
    check(&pattern, "a x b", &["a0 b2"]);
    check(&pattern, "a x x b", &[]);
    check(&pattern.by_key(), "a/x x/y x/y x/y b/x", &["a0 b4"]);
}

#[test]
fn a_bound_of_a_group_is_measured_from_its_own_first_row() {
    let group = |between| bounded(seq(event("b"), [(Then, event("c"))]), minutes(5), between);
    let pattern = all(seq(event("a"), [(Then, group(FirstToLast))]));
    check(&pattern, "a@0 b@20 c@24", &["a0 b1 c2"]);
    check(&pattern, "a@0 b@20 c@25", &[]);
    // Each repetition anew.
    let pattern = first(times(group(FirstToLast), 2, Some(2), Then));
    check(&pattern, "b@0 c@4 b@30 c@34", &["b0 c1 b2 c3"]);
}

#[test]
fn a_bound_of_a_loop_spans_its_repetitions() {
    let pattern =
        first(seq(bounded(times(event("a"), 3, None, Then), minutes(5), FirstToLast), [(Then, event("b"))]));
    check(&pattern, "a@0 a@2 a@4 a@6 b@50", &["a0 a1 a2 b4"]);
    check(&pattern, "a@0 a@2 a@5 a@6 b@50", &["a1 a2 a3 b4"]);
}

#[test]
fn neighbours_of_a_loop_are_its_own_rows() {
    let root = || {
        seq(
            event("s"),
            [(Then, bounded(times(event("a"), 2, None, Then), minutes(5), Neighbours)), (Then, event("b"))],
        )
    };
    check(&first(root()), "s@0 a@20 a@24 a@28 b@90", &["s0 a1 a2 a3 b4"]);
    check(&first(root()), "s@0 a@20 a@25 b@90", &[]);
    check(&first(root()), "s@0 a@20 a@24 a@30 b@90", &["s0 a1 a2 b4"]);
}

#[test]
fn the_neighbour_of_a_single_event_is_the_row_accepted_before_it() {
    let near = |name| bounded(event(name), minutes(5), Neighbours);
    check(&first(seq(event("a"), [(Then, near("b"))])), "a@0 x@3 b@5", &[]);
    check(&first(seq(event("a"), [(Then, near("b"))])), "a@0 x@3 b@4", &["a0 b2"]);
    // On the first event it bounds nothing; in a loop, it is the row of the repetition before.
    check(&first(times(near("a"), 2, Some(2), Then)), "a@0 a@9 a@12", &["a1 a2"]);
}

#[test]
fn neighbours_of_a_pattern_are_all_of_its_rows() {
    let root = bounded(seq(event("a"), [(Then, event("b")), (Then, event("c"))]), minutes(5), Neighbours);
    check(&first(root), "a@0 b@4 c@8 a@20 b@24 c@29", &["a0 b1 c2"]);
}

#[test]
fn neighbours_by_rows() {
    let root =
        bounded(seq(event("a"), [(Then, event("b")), (Then, event("c"))]), Within::Rows(2), Neighbours);
    check(&first(root.clone()), "a x b x c", &["a0 b2 c4"]);
    check(&first(root), "a x b x x c", &[]);
}

#[test]
fn a_wait_ends_when_its_bound_can_no_longer_hold() {
    // The loop's own window closes at 5: then the match is known.
    let pattern = first(bounded(many(event("a")), minutes(5), FirstToLast));
    check(&pattern, "a@0 a@4 a@6 x@30", &["a0 a1 @5m", "a2 @11m"]);
    // By rows: at the first row beyond.
    let pattern = first(bounded(many(event("a")), Within::Rows(2), FirstToLast));
    check(&pattern, "a@0 x@4 x@6 x@30", &["a0 @3"]);
}

#[test]
fn a_null_time_is_beyond_every_bound() {
    let pattern = first(seq(event("a"), [(Then, event("b"))])).within(minutes(10));
    check(&pattern, "a@0 b@-", &[]);
    check(&first(seq(event("a"), [(Then, event("b"))])), "a@0 b@-", &["a0 b1"]);
    check(&first(bounded(many(event("a")), minutes(10), FirstToLast)), "a@-", &[]);
}

#[test]
fn a_bound_in_time_needs_a_time() {
    let pattern = first(seq(event("a"), [(Then, event("b"))])).within(minutes(10));
    check_error(&pattern, "a b", "within-needs-order");
    check_error(&first(seq(event("a"), [(Then, absent_for("x", 1))])), "a b", "within-needs-order");
}
