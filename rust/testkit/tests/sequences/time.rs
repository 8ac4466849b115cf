//! Timeouts and intermediate outputs.

use cepheid_ir::AfterMatchSkip::PastLastRow;

use super::notation::*;

#[test]
fn a_run_that_the_window_ends_is_a_timeout_if_asked_for() {
    let pattern = first(seq(event("a"), [(Then, event("b")), (Then, event("c"))])).within(minutes(10));
    check(&pattern.clone().timeouts(), "a@0 b@3 c@10", &["timeout a0 b1 @10m"]);
    check(&pattern.clone().timeouts(), "a@0 b@3 c@9", &["a0 b1 c2 @2"]);
    check(&pattern, "a@0 b@3 c@10", &[]);
    // The end of the input counts as every deadline.
    check(&pattern.timeouts(), "a@0 a@2", &["timeout a0 @10m", "timeout a1 @12m"]);
}

#[test]
fn runs_that_end_in_other_ways_are_no_timeouts() {
    let pattern = first(seq(event("a"), [(Next, event("b"))])).within(minutes(10)).timeouts();
    check(&pattern, "a@0 x@1", &[]);
    let near = bounded(event("b"), minutes(5), cepheid_ir::Between::Neighbours);
    check(&first(seq(event("a"), [(Then, near)])).within(minutes(10)).timeouts(), "a@0", &[]);
}

#[test]
fn under_first_the_preferred_living_run_is_the_timeout_unless_a_complete_one_waits() {
    let any = first(seq(event("a"), [(Any, event("b")), (Any, event("c"))])).within(minutes(10)).timeouts();
    check(&any, "a@0 b@1 b@2", &["timeout a0 b1 @10m"]);
    let open = first(seq(event("a"), [(Then, optional(event("b")))])).within(minutes(10)).timeouts();
    check(&open, "a@0", &["a0 @10m"]);
}

#[test]
fn under_all_every_distinct_set_times_out() {
    let any = all(seq(event("a"), [(Any, event("b")), (Any, event("c"))])).within(minutes(10)).timeouts();
    check(&any, "a@0 b@1 b@2", &["timeout a0 @10m", "timeout a0 b1 @10m", "timeout a0 b2 @10m"]);
    let nested = times(times(event("a"), 1, None, Then), 1, None, Then);
    let pattern = all(seq(nested, [(Then, event("b"))])).within(minutes(10)).timeouts();
    check(&pattern, "a@0", &["timeout a0 @10m"]);
}

#[test]
fn forgotten_runs_do_not_time_out() {
    let pattern = first(seq(event("a"), [(Then, event("b"))])).within(minutes(10)).timeouts();
    check(&pattern.clone().after(PastLastRow), "a@0 a@1 b@2", &["a0 b2 @2"]);
    check(
        &pattern.after(cepheid_ir::AfterMatchSkip::None),
        "a@0 a@1 b@2 a@3",
        &["a0 b2 @2", "a1 b2 @2", "timeout a3 @13m"],
    );
}

#[test]
fn emit_at_reports_the_rows_so_far_when_a_row_is_accepted() {
    let pattern = first(seq(event("a"), [(Then, event("b")), (Then, event("c"))])).emit_at("b");
    check(&pattern, "a x b", &["raised a0 b2"]);
    check(&pattern, "a x b c", &["raised a0 b2", "a0 b2 c3"]);
    let pattern = all(seq(event("a"), [(Any, event("b")), (Then, event("c"))])).emit_at("b");
    check(&pattern, "a b b c", &["raised a0 b1", "raised a0 b2", "a0 b1 c3", "a0 b2 c3"]);
}

#[test]
fn emit_at_of_a_loop_reports_every_acceptance() {
    let pattern = first(seq(times(event("a"), 2, None, Then), [(Then, event("b"))])).emit_at("a");
    check(&pattern, "a a b", &["raised a0", "raised a0 a1", "raised a1", "a0 a1 b2"]);
}

#[test]
fn emit_at_tells_equal_sets_once() {
    let nested = times(times(event("a"), 1, None, Then), 1, None, Then);
    let expected = ["a0", "raised a0", "a0 a1", "raised a0 a1", "a1", "raised a1"];
    check(&all(nested).emit_at("a"), "a a", &expected);
}

#[test]
fn a_match_forgets_once_its_moment_has_completed_everything() {
    let pattern = all(seq(many(event("a")), [(Next, absent("x"))])).emit_at("a").after(PastLastRow);
    // Row 1 decides that the run of row 0 is complete, and is taken by the other one of row 0 in the same moment.
    check(&pattern, "a a b", &["raised a0 @0", "a0 @1", "raised a0 a1 @1", "raised a1 @1", "a1 @2"]);
}
