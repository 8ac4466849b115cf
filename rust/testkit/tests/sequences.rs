//! What event sequences mean, worked out by hand from the rules, and what the reference makes of them.

mod sequences {
    mod absence;
    mod bounds;
    mod causality;
    mod closed_form;
    mod contiguity;
    mod loops;
    mod notation;
    mod selection;
    mod strict;
    mod time;
    mod topics;
}
