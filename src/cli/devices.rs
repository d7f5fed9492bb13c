//! What `--device` can name on this machine.

use sae_core::kernels;
use sae_train::device::{self, Adapter};
use serde_json::{Value, json};

/// Prints the devices, as a table or as JSON.
pub(crate) fn print(as_json: bool) {
    let (names, adapters) = (device::names(), device::adapters());
    if as_json {
        println!("{}", describe(&names, &adapters));
        return;
    }
    for name in names {
        println!("{name:<10} {}", processor(name).1);
    }
    for (i, Adapter { name, api, kind }) in adapters.iter().enumerate() {
        let also = if i == 0 { "; also named wgpu" } else { "" };
        println!("{:<10} {name}: {kind}, through {api}{also}", format!("wgpu:{i}"));
    }
    if !cfg!(feature = "wgpu") {
        println!("{:<10} not in this build: `{}` makes one that has it", "wgpu", device::WITH_GPUS);
    } else if adapters.is_empty() {
        println!("{:<10} {}", "wgpu", device::NO_ADAPTER);
    }
    let bf16 = if kernels::has_bf16_products() { "with" } else { "without" };
    println!(
        "{:<10} {} threads, {}, {bf16} products of bf16: the sparse operations of every device",
        "processor",
        rayon::current_num_threads(),
        kernels::instruction_set(),
    );
}

/// The backend of a processor's device, and what it is.
fn processor(name: &str) -> (&'static str, &'static str) {
    match name {
        "cpu" => ("flex", "burn's flex, the default; also named flex"),
        _ => ("ndarray", "burn's former backend of processors, which burn gives up"),
    }
}

fn describe(names: &[&str], adapters: &[Adapter]) -> Value {
    let processors = names.iter().map(|name| {
        json!({"name": name, "backend": processor(name).0, "kind": "processor", "default": *name == "cpu"})
    });
    let gpus = adapters.iter().enumerate().map(|(i, Adapter { name, api, kind })| {
        json!({
            "name": format!("wgpu:{i}"), "backend": "wgpu", "kind": kind, "default": false,
            "adapter": name, "api": api,
        })
    });
    json!({
        "devices": processors.chain(gpus).collect::<Vec<_>>(),
        "threads": rayon::current_num_threads(),
        "instructions": kernels::instruction_set(),
        "bf16_products": kernels::has_bf16_products(),
        "wgpu": cfg!(feature = "wgpu"),
    })
}
