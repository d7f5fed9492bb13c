//! HTTP interface to a folder of runs and their indexes, read-only.
//!
//! `docs/http_api.md` is its norm; the OpenAPI document is generated from this code and served.
//! This is the only crate with async code: reading an index or encoding happens on threads that may block.
//!
//! | module | answers |
//! |---|---|
//! | [`app()`] | Which routes are there, and what stands around them? |
//! | `serve` | On which address, and until when? |
//! | `api` | One file per resource: what is asked, what is answered. |
//! | `panels` | One file per panel of the page of a latent. |
//! | `pool` | On which threads are pages of latents made? |
//! | `state` | Which runs are there, and which of their files are open? |
//! | `assets` | The page itself: static files. |

mod api;
mod app;
mod assets;
mod cache;
mod draw;
mod error;
mod etag;
mod extract;
mod host;
mod json;
mod panels;
mod pool;
mod runs;
mod serve;
mod state;
mod text;

pub use app::{app, openapi};
pub use error::ServeError;
pub use serve::{ServeOptions, run, serve};
pub use state::AppState;
