//! Contiguity between steps, optional steps, alternation and parts in any order.

use super::notation::*;

#[test]
fn strict_takes_the_very_next_row_only() {
    check(&first(seq(event("a"), [(Next, event("b"))])), "a b x a x b", &["a0 b1"]);
}

#[test]
fn skip_till_next_passes_over_rows_that_do_not_fit() {
    check(&first(seq(event("a"), [(Then, event("b"))])), "a x b b", &["a0 b2"]);
    check(&all(seq(event("a"), [(Then, event("b"))])), "a x b b", &["a0 b2"]);
    check(&all(seq(event("a"), [(Then, event("b"))])), "a a b", &["a0 b2", "a1 b2"]);
}

#[test]
fn skip_till_any_passes_over_any_row() {
    check(&all(seq(event("a"), [(Any, event("b"))])), "a x b b", &["a0 b2", "a0 b3"]);
    // One match a start row; then past its last row.
    check(&first(seq(event("a"), [(Any, event("b"))])), "a x b b", &["a0 b2"]);
}

#[test]
fn contiguity_may_be_mixed() {
    let pattern = all(seq(event("a"), [(Next, event("b")), (Any, event("c"))]));
    check(&pattern, "a b c x c a x b c", &["a0 b1 c2", "a0 b1 c4", "a0 b1 c8"]);
    let pattern = all(seq(event("a"), [(Then, event("b")), (Next, event("c"))]));
    // The run of row 0 takes the first b, after which no c stands.
    check(&pattern, "a b b c", &[]);
    check(&pattern, "a x b c", &["a0 b2 c3"]);
    let pattern = all(seq(event("a"), [(Any, event("b")), (Next, event("c"))]));
    check(&pattern, "a b b c", &["a0 b2 c3"]);
}

#[test]
fn under_first_a_later_b_saves_a_run_only_if_the_row_may_be_skipped() {
    check(&first(seq(event("a"), [(Then, event("b")), (Next, event("c"))])), "a b b c", &[]);
    check(&first(seq(event("a"), [(Any, event("b")), (Next, event("c"))])), "a b b c", &["a0 b2 c3"]);
}

#[test]
fn an_optional_step_is_chosen_without_looking_ahead_under_all() {
    let pattern = all(seq(event("a"), [(Then, optional(event("b"))), (Then, event("c"))]));
    // With b: a0 b1 c2. Without: the run waits for c and passes b over.
    check(&pattern, "a b c", &["a0 b1 c2", "a0 c2"]);
    check(&pattern, "a c b c", &["a0 c1", "a0 b2 c3"]);
}

#[test]
fn under_first_a_run_waits_for_all_that_can_come_next() {
    let pattern = first(seq(event("a"), [(Then, optional(event("b"))), (Then, event("c"))]));
    check(&pattern, "a x b c", &["a0 b2 c3"]);
    check(&pattern, "a x c b c", &["a0 c2"]);
}

#[test]
fn the_way_past_an_optional_step_has_the_relation_written_last() {
    let pattern = all(seq(event("a"), [(Then, optional(event("b"))), (Next, event("c"))]));
    check(&pattern, "a x b c", &["a0 b2 c3"]);
    // Past b, c must be the very next row after a.
    check(&pattern, "a x c", &[]);
    check(&pattern, "a c", &["a0 c1"]);
}

#[test]
fn a_first_step_that_is_optional_lets_a_later_one_begin() {
    let pattern = all(seq(optional(event("a")), [(Then, event("b"))]));
    check(&pattern, "b a b", &["b0", "a1 b2", "b2"]);
}

#[test]
fn the_left_alternative_is_preferred_when_a_row_fits_both() {
    let pattern = first(seq(event("a"), [(Then, either([event("b"), event("bb")]))]));
    check(&pattern, "a x b", &["a0 b2"]);
    let pattern = all(seq(event("a"), [(Then, either([event("b"), event("bb")]))]));
    check(&pattern, "a x b", &["a0 b2", "a0 bb2"]);
}

#[test]
fn alternatives_wait_side_by_side_under_first_and_apart_under_all() {
    let root = || seq(event("a"), [(Then, either([event("b"), seq(event("c"), [(Then, event("d"))])]))]);
    check(&first(root()), "a c b d", &["a0 c1 d3"]);
    check(&all(root()), "a c b d", &["a0 b2", "a0 c1 d3"]);
}

#[test]
fn parts_of_any_order_are_related_by_their_contiguity() {
    check(&all(all_of(Then, [event("a"), event("b")])), "b x a b", &["b0 a2", "a2 b3"]);
    check(&all(all_of(Next, [event("a"), event("b")])), "b x a b", &["a2 b3"]);
    let three = first(all_of(Then, [event("a"), event("b"), event("c")]));
    check(&three, "c a x b", &["c0 a1 b3"]);
}

#[test]
fn the_relation_to_parts_of_any_order_is_that_of_whichever_is_first() {
    let pattern = all(seq(event("a"), [(Next, all_of(Then, [event("b"), event("c")]))]));
    check(&pattern, "a c x b a x b c", &["a0 c1 b3"]);
}

#[test]
fn partitions_do_not_see_each_other() {
    let pattern = first(seq(event("a"), [(Next, event("b"))])).by_key();
    check(&pattern, "a/x a/y b/x x/y b/y a/- b/-", &["a0 b2", "a5 b6"]);
}
