//! cepheid-matcher.
