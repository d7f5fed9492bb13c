//! Training of sparse autoencoders on activation dumps, on burn.
//!
//! | module | answers |
//! |---|---|
//! | [`config`] | What is a run told, and what are the defaults? |
//! | [`train`] | From a dump to `run/sae/`, from the start or a checkpoint. |
//! | [`trainer`] | What is one step? |
//! | [`variants`], [`losses`] | What does each method minimise? |
//! | [`optimizers`], [`schedules`] | How do weights follow gradients, and how fast? |
//! | [`ops`] | The sparse operations that all of them are made of, in burn. |
//! | [`source`], [`split`], [`shuffle`], [`batches`] | Which rows of which columns, and in which order? |
//! | [`normalize`], [`scales`] | What are inputs brought to, and how is it undone? |
//! | [`params`], [`state`], [`dead`], [`device`] | Weights, what methods remember, dead latents, where it runs. |
//! | [`checkpoint`], [`events`] | What is written on the way? |
//! | [`evaluate`] | How good is the result? |

pub mod batches;
mod buckets;
pub mod checkpoint;
pub mod config;
pub mod dead;
pub mod device;
mod error;
pub mod evaluate;
pub mod events;
pub mod losses;
pub mod median;
pub mod normalize;
pub mod ops;
pub mod optimizers;
pub mod params;
mod passes;
mod registry;
mod running;
pub mod scales;
pub mod schedules;
pub mod shuffle;
pub mod source;
pub mod split;
pub mod state;
pub mod train;
pub mod trainer;
pub mod variants;

pub use config::Config;
pub use error::{Result, TrainError};
