//! cepheid-testkit.
