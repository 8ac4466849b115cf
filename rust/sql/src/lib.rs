//! cepheid-sql.
