//! The sequence matcher fed chunk by chunk: what cannot be seen from outside the engine.

mod sequences {
    mod correlated;
    mod cuts;
    mod stream;
    mod taken_back;
    mod work;
}
