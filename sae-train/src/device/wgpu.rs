//! Adapters that wgpu finds through Vulkan, Metal or DirectX 12.
//!
//! burn opens a device when a tensor is first made on it, and panics if there is none. So adapters are
//! looked for here first, and opened before any tensor.

use super::{Adapter, NO_ADAPTER, refuse};
use crate::Result;
use burn::tensor::{
    Device, DeviceKind, read_sync,
    wgpu::{
        WgpuBackend,
        wgpu::{self, Backend, DeviceType},
    },
};
use std::sync::{Mutex, OnceLock, PoisonError};

/// An adapter, and how burn names it.
pub(super) struct Found {
    pub(super) adapter: Adapter,
    api: WgpuBackend,
    kind: DeviceKind,
    /// The largest tensor it takes, in bytes.
    room: u64,
    /// It is opened once: burn refuses to do it again.
    opened: Mutex<Option<Device>>,
}

/// The adapters of this machine: discrete before integrated before virtual GPUs before software, within a
/// kind in the order of their drivers.
///
/// Looked for once: the loader of Vulkan's drivers crashes when several threads look at the same time.
pub(super) fn found() -> &'static [Found] {
    static FOUND: OnceLock<Vec<Found>> = OnceLock::new();
    FOUND.get_or_init(find)
}

/// OpenGL, which wgpu would also take, is left out: its drivers lack what larger tensors need.
const APIS: &[(Backend, WgpuBackend, &str)] = if cfg!(target_os = "macos") {
    &[(Backend::Metal, WgpuBackend::Metal, "Metal")]
} else {
    &[(Backend::Vulkan, WgpuBackend::Vulkan, "Vulkan"), (Backend::Dx12, WgpuBackend::Dx12, "DirectX 12")]
};

fn find() -> Vec<Found> {
    let mut found = Vec::new();
    for &(backend, api, api_name) in APIS {
        let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
            backends: backend.into(),
            flags: wgpu::InstanceFlags::empty(),
            ..wgpu::InstanceDescriptor::new_without_display_handle()
        });
        // burn counts the adapters of each kind of each API.
        let mut seen = [0; 3];
        let mut next = |kind: usize| {
            seen[kind] += 1;
            seen[kind] - 1
        };
        let mut software = false;
        for adapter in read_sync(instance.enumerate_adapters(backend.into())) {
            let info = adapter.get_info();
            let (rank, kind_name, kind) = match info.device_type {
                DeviceType::DiscreteGpu => (0, "discrete", DeviceKind::DiscreteGpu(next(0))),
                DeviceType::IntegratedGpu => (1, "integrated", DeviceKind::IntegratedGpu(next(1))),
                DeviceType::VirtualGpu => (2, "virtual", DeviceKind::VirtualGpu(next(2))),
                DeviceType::Cpu if !std::mem::replace(&mut software, true) => {
                    (3, "software", DeviceKind::Cpu)
                }
                // burn has no name for these.
                DeviceType::Cpu | DeviceType::Other => continue,
            };
            let limits = adapter.limits();
            let room = limits.max_storage_buffer_binding_size.min(limits.max_buffer_size);
            let adapter = Adapter { name: info.name, api: api_name, kind: kind_name };
            found.push((rank, Found { adapter, api, kind, room, opened: Mutex::new(None) }));
        }
    }
    found.sort_by_key(|(rank, _)| *rank);
    found.into_iter().map(|(_, found)| found).collect()
}

/// The adapter of this name, `wgpu` or `wgpu:N`.
fn choose(name: &str) -> Result<&'static Found> {
    let found = found();
    let number = name.strip_prefix("wgpu:").unwrap_or("0").parse::<usize>();
    number.ok().and_then(|number| found.get(number)).ok_or_else(|| {
        let problem = match found.len() {
            0 => NO_ADAPTER.to_owned(),
            1 => "expected wgpu or wgpu:0, of the one adapter found".to_owned(),
            n => format!("expected wgpu, or wgpu:0 to wgpu:{} of the adapters found", n - 1),
        };
        refuse(name, &problem)
    })
}

/// The adapter of this name, opened.
pub(super) fn open(name: &str) -> Result<Device> {
    let chosen = choose(name)?;
    let mut opened = chosen.opened.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(device) = &*opened {
        return Ok(device.clone());
    }
    let options = Device::wgpu_options().device_kind(chosen.kind.clone()).graphics_api(chosen.api);
    let device = options
        .init()
        .map_err(|error| refuse(name, &format!("{} cannot be opened: {error}", chosen.adapter.name)))?;
    Ok(opened.insert(device).clone())
}

pub(super) fn check_room(name: &str, bytes: u64) -> Result<()> {
    let Found { adapter, room, .. } = choose(name)?;
    if bytes <= *room {
        return Ok(());
    }
    let problem = format!(
        "{} takes tensors of at most {} MiB, and a weight matrix has {} MiB. Lower sae.d_sae, or choose another device",
        adapter.name,
        room >> 20,
        bytes.div_ceil(1 << 20)
    );
    Err(refuse(name, &problem))
}
