//! Hard limits on what a pattern may ask for, so that hostile text is refused in time that does not depend on it.

/// Longest SQL or expression text, in bytes.
pub const TEXT_BYTES_MAX: usize = 1 << 20;
/// Deepest nesting of an expression.
pub const EXPR_DEPTH_MAX: usize = 128;
/// Deepest nesting of a row pattern.
pub const PATTERN_DEPTH_MAX: usize = 64;
/// Most distinct variables of a pattern.
pub const VARIABLES_MAX: usize = 1024;
/// Most parts of a `PERMUTE`, whose alternatives number the factorial of it.
pub const PERMUTE_PARTS_MAX: usize = 6;
/// Greatest count in a quantifier.
pub const REPEAT_MAX: u32 = 100_000;
/// Most single-row steps that a pattern may come to when its counts are written out.
pub const STEPS_MAX: usize = 200_000;
/// Most measures, subsets, order keys or partition columns.
pub const CLAUSE_ITEMS_MAX: usize = 4096;
/// Deepest nesting of JSON read from the wire.
pub const WIRE_DEPTH_MAX: usize = 640;
