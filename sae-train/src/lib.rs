//! Training of sparse autoencoders on activation dumps, on burn.

pub mod ops;
