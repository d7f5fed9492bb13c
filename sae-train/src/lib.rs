//! Training of sparse autoencoders on activation dumps, on burn.
//!
//! | module | answers |
//! |---|---|
//! | [`config`] | What is a run told, and what are the defaults? |
//! | [`train`] | From a dump to `run/sae/`, from the start or a checkpoint. |
//! | [`trainer`] | What is one step? |
//! | [`variants`], [`losses`] | What does each method minimise? |
//! | [`ops`] | The sparse operations that all of them are made of, in burn. |
//! | [`shuffle`], [`batches`], [`split`] | In which order are which rows seen? |
//! | [`params`], [`dead`], [`schedule`], [`device`] | Weights, dead latents, learning rate, where it runs. |
//! | [`checkpoint`], [`events`] | What is written on the way? |
//! | [`evaluate`] | How good is the result? |

pub mod batches;
pub mod checkpoint;
pub mod config;
pub mod dead;
pub mod device;
mod error;
pub mod evaluate;
pub mod events;
pub mod losses;
pub mod ops;
pub mod params;
pub mod schedule;
pub mod shuffle;
pub mod split;
pub mod train;
pub mod trainer;
pub mod variants;

pub use config::Config;
pub use error::{Result, TrainError};
