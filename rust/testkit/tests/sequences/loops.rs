//! Loops, groups, greed and `until`.

use super::notation::*;

#[test]
fn every_count_from_the_minimum_on_is_a_match_under_all() {
    check(&all(many(event("a"))), "a x a", &["a0", "a0 a2", "a2"]);
    check(&all(times(event("a"), 2, Some(2), Then)), "a x a a", &["a0 a2", "a2 a3"]);
    check(&all(times(event("a"), 2, Some(2), Any)), "a x a a", &["a0 a2", "a0 a3", "a2 a3"]);
    check(&all(times(event("a"), 2, Some(2), Next)), "a x a a", &["a2 a3"]);
}

#[test]
fn a_loop_before_a_step_chooses_to_go_on_or_to_leave() {
    let pattern = all(seq(many(event("a")), [(Then, event("b"))]));
    // After each a a run waits for another a, and another run for b.
    check(&pattern, "a a b", &["a0 a1 b2", "a0 b2", "a1 b2"]);
}

#[test]
fn a_greedy_loop_under_first_takes_what_it_can() {
    check(&first(seq(many(event("a")), [(Then, event("b"))])), "a x a b a b", &["a0 a2 b3", "a4 b5"]);
    let reluctant = first(seq(greedy(many(event("a")), false), [(Then, event("any"))]));
    check(&reluctant, "a a x", &["a0 any1"]);
    // Greedy: the second a is the loop's; the row after is any's.
    check(&first(seq(many(event("a")), [(Then, event("any"))])), "a a x", &["a0 a1 any2"]);
}

#[test]
fn a_trailing_greedy_loop_is_known_when_nothing_more_can_come() {
    let pattern = first(many(event("a"))).within(minutes(10));
    check(&pattern, "a@0 a@4 x@20", &["a0 a1 @10m"]);
    let reluctant = first(greedy(many(event("a")), false)).within(minutes(10));
    check(&reluctant, "a@0 a@4 x@20", &["a0 @0", "a1 @1"]);
    let counted = first(times(event("a"), 1, Some(2), Then)).within(minutes(10));
    check(&counted, "a@0 a@4 x@20", &["a0 a1 @1"]);
    // Without a bound, only the end of the input tells.
    check(&first(many(event("a"))), "a@0 a@4 x@20", &["a0 a1 @end"]);
}

#[test]
fn small_at_least_three_then_big_is_told_at_the_first_big() {
    let pattern = first(seq(times(event("s"), 3, None, Then), [(Then, event("b"))]));
    check(&pattern, "s@0 s@1 b@2 s@3 x@4 b@5 b@6", &["s0 s1 s3 b5 @5"]);
}

#[test]
fn a_strict_loop_ends_with_the_first_row_that_does_not_fit() {
    let pattern = first(seq(times(event("a"), 1, None, Next), [(Then, event("b"))]));
    check(&pattern, "a a x a b", &["a0 a1 b4"]);
    let pattern = all(seq(times(event("a"), 1, None, Next), [(Then, event("b"))]));
    check(&pattern, "a a x b", &["a0 a1 b3", "a0 b3", "a1 b3"]);
}

#[test]
fn a_group_repeats_as_a_whole() {
    let group = || seq(event("a"), [(Next, event("b"))]);
    check(&first(times(group(), 2, Some(2), Then)), "a b x a b", &["a0 b1 a3 b4"]);
    check(&first(times(group(), 2, Some(2), Next)), "a b x a b", &[]);
    check(&all(times(group(), 1, None, Then)), "a b a b", &["a0 b1", "a0 b1 a2 b3", "a2 b3"]);
}

#[test]
fn an_optional_group_is_taken_whole_or_not_at_all() {
    let group = || optional(seq(event("b"), [(Then, event("c"))]));
    let pattern = all(seq(event("a"), [(Then, group()), (Then, event("d"))]));
    check(&pattern, "a b d c d", &["a0 d2", "a0 b1 c3 d4"]);
}

#[test]
fn an_iteration_takes_at_least_one_row_and_the_empty_match_is_none() {
    let pattern = all(times(optional(event("a")), 2, Some(2), Then));
    check(&pattern, "a x a", &["a0 a2"]);
    check(&first(times(event("a"), 0, None, Next)), "x x", &[]);
}

#[test]
fn counts_with_a_hole_are_an_optional_count() {
    let pattern =
        all(seq(event("b"), [(Then, optional(times(event("a"), 2, Some(3), Then))), (Then, event("c"))]));
    check(&pattern, "b a c a c", &["b0 c2", "b0 a1 a3 c4"]);
}

#[test]
fn greedy_under_all_lets_no_row_pass_that_the_loop_would_take() {
    let pattern = all(seq(greedy(many(event("a")), true), [(Then, event("b"))]));
    check(&pattern, "a a b", &["a0 a1 b2", "a1 b2"]);
    // A loop passed over is guarded too.
    let root = seq(event("c"), [(Then, greedy(times(event("a"), 0, None, Then), true)), (Then, event("b"))]);
    check(&all(root), "c a b", &["c0 a1 b2"]);
}

#[test]
fn greedy_under_all_gives_the_row_that_fits_both_to_the_loop() {
    let pattern = all(seq(greedy(many(event("a")), true), [(Then, event("any"))]));
    check(&pattern, "a a x", &["a0 a1 any2", "a1 any2"]);
    // There is no guard after the last possible repetition.
    let pattern = all(seq(greedy(times(event("a"), 1, Some(1), Then), true), [(Then, event("any"))]));
    check(&pattern, "a a x", &["a0 any1", "a1 any2"]);
    let pattern = all(seq(greedy(times(event("a"), 1, Some(2), Then), true), [(Then, event("any"))]));
    check(&pattern, "a a a", &["a0 a1 any2"]);
}

#[test]
fn greedy_at_the_end_of_a_pattern_changes_nothing_under_all() {
    let pattern = all(seq(event("b"), [(Then, greedy(many(event("a")), true))]));
    check(&pattern, "b a a", &["b0 a1", "b0 a1 a2"]);
}

#[test]
fn until_ends_a_loop_that_has_begun_but_not_the_wait_for_its_first_row() {
    let root = || seq(event("b"), [(Then, until(many(event("a")), is("u"))), (Then, event("c"))]);
    check(&all(root()), "b a u a c", &["b0 a1 c4"]);
    check(&all(root()), "b u a c", &["b0 a2 c3"]);
    check(&first(root()), "b a u a c", &["b0 a1 c4"]);
}

#[test]
fn a_row_that_satisfies_until_is_never_the_loops_own() {
    let root = seq(until(many(event("any")), is("u")), [(Then, event("u"))]);
    check(&first(root), "a b u", &["any0 any1 u2"]);
}

#[test]
fn until_of_a_group_ends_every_wait_inside_it() {
    let group = || seq(event("a"), [(Then, event("b"))]);
    let root = || seq(event("s"), [(Then, until(many(group()), is("u"))), (Then, event("c"))]);
    check(&all(root()), "s a u b c", &[]);
    // The wait for its first row too.
    check(&all(root()), "s u a b c", &[]);
    // What follows the group is still waited for.
    check(&all(root()), "s a b u a b c", &["s0 a1 b2 c6"]);
}

#[test]
fn until_lifts_greedy() {
    let loop_of = || greedy(until(many(event("a")), is("u")), true);
    check(&all(seq(loop_of(), [(Then, event("b"))])), "a u a b", &["a0 b3", "a2 b3"]);
    check(&all(seq(loop_of(), [(Then, event("b"))])), "a x a b", &["a0 a2 b3", "a2 b3"]);
}

#[test]
fn conditions_look_back_at_the_rows_accepted_before() {
    use cepheid_ir::{BinaryOp, Expr};
    let rising = Expr::Or(vec![
        Expr::IsNull(Box::new(last_v("a"))),
        Expr::binary(BinaryOp::Greater, Expr::column("v"), last_v("a")),
    ]);
    let pattern = first(times(event("a"), 3, Some(3), Then)).define("a", rising);
    check(&pattern, "a:1 a:0 a:2 a:2 a:5", &["a0 a2 a4"]);
}
