//! Where training runs: a processor, or a GPU, chosen by name among what is compiled in and found here.
//!
//! | name | is |
//! |---|---|
//! | `cpu`, `flex` | burn's flex, whose tensors the kernels work on where they lie |
//! | `ndarray` | burn's former backend for processors, with the feature `ndarray` |
//! | `wgpu:N` | the `N`th of [`adapters`], with the feature `wgpu`; `wgpu` is the first |

#[cfg(feature = "wgpu")]
mod wgpu;

use crate::{Result, TrainError};
use burn::tensor::Device;
use std::panic::AssertUnwindSafe;

/// How a build that reaches GPUs is made.
pub const WITH_GPUS: &str = "cargo build --release --features wgpu";

/// What a machine without adapters lacks.
pub const NO_ADAPTER: &str = "no adapter of Vulkan, Metal or DirectX 12 was found. Install the GPU's driver, or one in software (Debian: apt-get install mesa-vulkan-drivers)";

/// A GPU, or a driver that computes as one on the processor.
#[derive(Debug, Clone)]
pub struct Adapter {
    /// What its driver calls it.
    pub name: String,
    /// `Vulkan`, `Metal` or `DirectX 12`.
    pub api: &'static str,
    /// `discrete`, `integrated`, `virtual`, or `software` if it computes on the processor.
    pub kind: &'static str,
}

/// The adapters that `wgpu:0`, `wgpu:1`, … name on this machine, the most powerful kind first; none in a
/// build without the feature `wgpu`.
pub fn adapters() -> Vec<Adapter> {
    #[cfg(feature = "wgpu")]
    return wgpu::found().iter().map(|found| found.adapter.clone()).collect();
    #[cfg(not(feature = "wgpu"))]
    Vec::new()
}

/// The names of the processors' devices in this build.
pub fn names() -> Vec<&'static str> {
    let mut names = vec!["cpu"];
    if cfg!(feature = "ndarray") {
        names.push("ndarray");
    }
    names
}

/// The device of that name; see the table of this module.
///
/// # Errors
/// If there is no such device, its backend is not compiled in, or it cannot be opened.
pub fn open(name: &str) -> Result<Device> {
    match name {
        "cpu" | "flex" => Ok(Device::flex()),
        #[cfg(feature = "ndarray")]
        #[allow(deprecated, reason = "burn 0.22 deprecates ndarray; users ask for it")]
        "ndarray" => Ok(Device::ndarray()),
        #[cfg(feature = "wgpu")]
        _ if is_gpu(name) => wgpu::open(name),
        _ => Err(refuse(name, &unknown(name))),
    }
}

/// Whether a name is one of GPUs.
pub(crate) fn is_gpu(name: &str) -> bool {
    name.split(':').next() == Some("wgpu")
}

/// Refuses tensors of so many values on the device of this name if it takes none as large.
///
/// # Errors
/// If it does not.
pub(crate) fn check_room(name: &str, values: usize) -> Result<()> {
    #[cfg(feature = "wgpu")]
    if is_gpu(name) {
        return wgpu::check_room(name, 4 * values as u64);
    }
    let _ = (name, values);
    Ok(())
}

/// Works on the device of this name. What burn panics about a GPU, which may be lost or run out of memory
/// at any time, is an error here.
///
/// # Errors
/// Those of `work`, and the GPU's.
pub(crate) fn on<T>(name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    if !is_gpu(name) {
        return work();
    }
    std::panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().map(ToString::to_string);
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
        // Several lines; the last are about where it happened inside burn.
        let words: Vec<&str> = text.split("No backtrace").next().unwrap_or_default().split_whitespace().collect();
        Err(TrainError::Device(format!(
            "--device {name} failed: {}. Lower sae.d_sae or train.batch_size if it is about memory; --device cpu trains without a GPU",
            words.join(" ")
        )))
    })
}

fn unknown(name: &str) -> String {
    let feature = |feature: &str| format!("this build has no {feature}: `{WITH_GPUS}` makes one that has");
    match name {
        _ if is_gpu(name) => feature("wgpu"),
        _ => "there is no such device".to_owned(),
    }
}

/// Why a device cannot be used, and which can.
pub(crate) fn refuse(name: &str, problem: &str) -> TrainError {
    let adapters = adapters();
    let adapters = adapters.iter().enumerate().map(|(i, adapter)| format!("wgpu:{i} ({})", adapter.name));
    let here: Vec<String> = names().into_iter().map(str::to_owned).chain(adapters).collect();
    TrainError::Device(format!("--device {name}: {problem}. Devices here: {}", here.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_burn_panics_about_a_gpu_is_one_line_without_its_place() {
        let lost =
            "the device answers: lost\nCaused by: memory\n\nNo backtrace available\nAsked at: somewhere";
        let error = on("wgpu:1", || -> Result<()> { panic!("{lost}") }).expect_err("it panicked").to_string();
        assert!(error.starts_with("--device wgpu:1 failed: the device answers: lost Caused by: memory. "));
        assert!(error.contains("--device cpu") && !error.contains("somewhere"), "{error}");
        assert_eq!(on("wgpu", || Ok(3)).expect("it did not"), 3);
    }

    #[test]
    #[should_panic(expected = "a bug")]
    fn a_panic_on_the_processor_stays_one() {
        let _ = on("cpu", || -> Result<()> { panic!("a bug") });
    }
}
