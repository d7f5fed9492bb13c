//! Terms of losses that methods share, one file each.

mod aux_k;

pub use aux_k::aux_k;
