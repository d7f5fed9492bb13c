//! The whole interface through the real router, over runs whose answers are known by hand.

mod around;
mod listen;
mod openapi;
mod page;
mod support;
