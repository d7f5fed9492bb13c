//! The whole interface through the real router, over runs whose answers are known by hand.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod around;
mod documents;
mod encode;
mod fixture;
mod latent;
mod latents;
mod listen;
mod openapi;
mod page;
mod runs;
mod support;
