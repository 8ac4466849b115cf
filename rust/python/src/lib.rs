//! cepheid-python.
