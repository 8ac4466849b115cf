//! Absence: between steps, strict, leading and trailing.

use super::notation::*;

#[test]
fn an_open_absence_ends_the_wait_for_the_step_behind_it() {
    let pattern = first(seq(event("a"), [(Then, absent("x")), (Then, event("c"))]));
    check(&pattern, "a b c", &["a0 c2"]);
    check(&pattern, "a x c", &[]);
    // Lifted by the next accepted row.
    let pattern = first(seq(event("a"), [(Then, absent("x")), (Then, event("c")), (Then, event("d"))]));
    check(&pattern, "a c x d", &["a0 c1 d3"]);
}

#[test]
fn a_row_that_satisfies_absence_and_step_is_taken_and_not_skipped() {
    let root = || seq(event("a"), [(Then, absent("x")), (Any, event("any"))]);
    check(&all(root()), "a b x b", &["a0 any1", "a0 any2"]);
}

#[test]
fn a_strict_absence_tests_the_very_next_row_alone() {
    let root = || seq(event("a"), [(Next, absent("x")), (Then, event("c"))]);
    check(&first(root()), "a x c", &[]);
    check(&first(root()), "a b x c", &["a0 c3"]);
    check(&first(root()), "a c", &["a0 c1"]);
    // Lost whether it fits or not.
    let both = first(seq(event("a"), [(Next, absent("cx")), (Then, event("c"))]));
    check(&both, "a c c", &[]);
}

#[test]
fn an_open_absence_before_a_strict_step() {
    let pattern = first(seq(event("a"), [(Then, absent("x")), (Next, event("c"))]));
    check(&pattern, "a c a b c", &["a0 c1"]);
}

#[test]
fn an_absence_is_in_force_while_the_loop_before_it_goes_on() {
    let root = || seq(many(event("a")), [(Then, absent("x")), (Then, event("c"))]);
    check(&all(root()), "a x a c", &["a2 c3"]);
    check(&all(root()), "a b a c", &["a0 a2 c3", "a0 c3", "a2 c3"]);
    // Not before its minimum is reached.
    let twice = seq(times(event("a"), 2, None, Then), [(Then, absent("x")), (Then, event("c"))]);
    check(&all(twice), "a x a c", &["a0 a2 c3"]);
    // The first repetition of a loop is not the loop going on.
    let root =
        seq(event("b"), [(Then, times(event("a"), 0, None, Then)), (Then, absent("x")), (Then, event("c"))]);
    check(&all(root), "b x a c", &["b0 a2 c3"]);
}

#[test]
fn a_strict_absence_is_not_in_force_while_a_loop_goes_on() {
    let root = seq(many(event("a")), [(Next, absent("x")), (Then, event("c"))]);
    check(&all(root), "a x a b c", &["a0 a2 c4", "a2 c4"]);
}

#[test]
fn an_absence_stays_in_force_while_optional_steps_are_passed_over() {
    let root = || seq(event("a"), [(Then, absent("x")), (Then, optional(event("b"))), (Then, event("c"))]);
    check(&all(root()), "a x c", &[]);
    check(&all(root()), "a b x c", &["a0 b1 c3"]);
}

#[test]
fn optional_steps_between_a_loop_and_an_absence_leave_it_in_force() {
    let root =
        || seq(many(event("a")), [(Then, optional(event("b"))), (Then, absent("x")), (Then, event("c"))]);
    // Waiting for another a: ended by x. Waiting for b: not yet. Waiting for c past b: ended.
    check(&all(root()), "a x b c", &["a0 b2 c3"]);
    check(&all(root()), "a x a c", &["a2 c3"]);
}

#[test]
fn a_leading_absence_looks_at_the_rows_before_the_first() {
    let root = |leading| seq(leading, [(Then, event("a"))]);
    check(&first(root(absent_for("x", 5))), "x@0 a@4 a@5 a@6", &["a2", "a3"]);
    check(&first(root(absent("x"))), "a@0 x@1 a@9", &["a0"]);
    // Earlier means standing before, at the same time too.
    check(&first(root(absent_for("x", 5))), "a@1 x@1 a@1", &["a0"]);
}

#[test]
fn a_leading_absence_may_follow_no_step_but_an_optional_one_only_if_it_has_no_time() {
    let root = seq(optional(event("b")), [(Then, absent_for("x", 5)), (Then, event("a"))]);
    check_error(&first(root), "a@0", "invalid-absence");
    let group = times(seq(absent_for("x", 5), [(Then, event("a"))]), 2, Some(2), Then);
    check_error(&first(group), "a@0", "invalid-absence");
}

#[test]
fn a_trailing_absence_matches_when_its_time_is_over() {
    let pattern = first(seq(event("a"), [(Then, absent_for("x", 10))]));
    check(&pattern, "a@0 b@5 b@10", &["a0 @10m"]);
    check(&pattern, "a@0 x@9", &[]);
    // At the deadline is too late.
    check(&pattern, "a@0 x@10", &["a0 @10m"]);
    // The end of the input counts as every deadline.
    check(&pattern, "a@3", &["a0 @13m"]);
}

#[test]
fn a_trailing_absence_without_a_time_lasts_until_the_window_is_over() {
    let pattern = first(seq(event("a"), [(Then, event("b")), (Then, absent("x"))])).within(minutes(10));
    check(&pattern, "a@0 b@4 x@9", &[]);
    check(&pattern, "a@0 b@4 x@10", &["a0 b1 @10m"]);
}

#[test]
fn a_deadline_after_the_window_is_never_reached() {
    let root = || seq(event("a"), [(Then, event("b")), (Then, absent_for("x", 7))]);
    check(&first(root()).within(minutes(10)), "a@0 b@4 c@20", &[]);
    check(&first(root()).within(minutes(10)).timeouts(), "a@0 b@4 c@20", &["timeout a0 b1 @10m"]);
    // At the same moment it matches.
    check(&first(root()).within(minutes(10)).timeouts(), "a@0 b@3 c@20", &["a0 b1 @10m"]);
}

#[test]
fn a_strict_trailing_absence_is_decided_by_the_next_row() {
    let pattern = first(seq(event("a"), [(Next, absent("x"))]));
    check(&pattern, "a@0 b@1 a@2 x@3", &["a0 @1"]);
    // No row comes: it is not reached.
    check(&pattern, "a@0", &[]);
    // The deciding row begins a run of its own.
    check(&pattern, "a@0 a@1 b@2", &["a0 @1", "a1 @2"]);
}

#[test]
fn a_loop_before_a_trailing_absence() {
    let root = || seq(many(event("a")), [(Then, absent_for("x", 5))]);
    // Under all every count has its own deadline; the longer run is not hindered by the shorter one's.
    check(&all(root()), "a@0 a@3", &["a0 @5m", "a0 a1 @8m", "a1 @8m"]);
    check(&all(root()), "a@0 a@3 x@6", &["a0 @5m"]);
    // Under first a row that the loop can take is taken, and the longest run that can be is preferred.
    check(&first(root()), "a@0 a@3", &["a0 a1 @end"]);
    check(&first(root()), "a@0 a@3 x@9", &["a0 a1 @2"]);
}
