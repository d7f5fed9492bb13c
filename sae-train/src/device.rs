//! Where training runs, chosen by name among what is compiled in.

use crate::{Result, TrainError};
use burn::tensor::Device;

/// The names that [`open`] takes in this build.
pub fn names() -> Vec<&'static str> {
    let mut names = vec!["cpu"];
    if cfg!(feature = "ndarray") {
        names.push("ndarray");
    }
    if cfg!(feature = "wgpu") {
        names.push("wgpu");
    }
    names
}

/// The device of that name: `cpu` (burn's flex), `ndarray` (burn's former CPU backend), or `wgpu`
/// (the default GPU, in builds with the feature `wgpu`).
///
/// # Errors
/// If the name is unknown or its backend is not compiled in.
pub fn open(name: &str) -> Result<Device> {
    match name {
        "cpu" => Ok(Device::flex()),
        #[cfg(feature = "ndarray")]
        #[allow(deprecated)]
        "ndarray" => Ok(Device::ndarray()),
        #[cfg(feature = "wgpu")]
        "wgpu" => Ok(Device::wgpu(Default::default())),
        _ => Err(TrainError::Device(format!(
            "--device {name}: expected one of {} in this build; GPUs need `cargo build --release --features wgpu`",
            names().join(", ")
        ))),
    }
}
