//! cepheid-eval.
