//! Times of single training steps as one line of JSON, for `bench/peers`, which runs it in turn with other
//! libraries on the same rows.
//!
//! `cargo bench -p sae-train --bench peer_step -- method=jump_relu precision=bf16-candidates steps=10`
//!
//! `rows=FILE` names little-endian f32 values `[n, d_in]`, at least a batch; without it they are noise.

#[path = "support/method.rs"]
mod method;
#[path = "../../sae-core/benches/support/noise.rs"]
mod noise;
mod support;

use method::Method;
use noise::noise;
use sae_core::kernels::Precision;
use sae_train::shuffle::Batch;
use std::{collections::BTreeMap, time::Instant};
use support::keep_freed_memory;

const WARM_UP: usize = 2;

fn main() {
    keep_freed_memory();
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let args: BTreeMap<&str, &str> =
        args.iter().map(|arg| arg.split_once('=').expect("arguments are key=value")).collect();
    let number = |key: &str, default: usize| {
        args.get(key).map_or(default, |value| value.parse().expect("sizes are whole numbers"))
    };
    let (batch_size, steps) = (number("batch", 4096), number("steps", 10));
    let method = Method {
        name: args.get("method").copied().unwrap_or("topk"),
        settings: &[],
        d_in: number("d_in", 384),
        d_sae: number("d_sae", 6144),
        k: number("k", 32),
        precision: match args.get("precision").copied().unwrap_or("f32") {
            "bf16-candidates" => Precision::Bf16Candidates,
            _ => Precision::F32,
        },
    };
    let rows = match args.get("rows") {
        Some(path) => read(path),
        None => noise(batch_size * method.d_in, method.d_in),
    };
    let batches: Vec<&[f32]> = rows.chunks_exact(batch_size * method.d_in).collect();
    let mut trainer = method.trainer(batches[0]);
    // Where L0 is not a setting, learning would change it.
    let lr = if method.has_k() { 1e-4 } else { 0.0 };
    let mut times = Vec::new();
    for step in 0..WARM_UP + steps {
        let batch = Batch { x: batches[step % batches.len()].to_vec(), companion: Vec::new() };
        let start = Instant::now();
        trainer.step(batch, lr).expect("the loss is finite");
        times.push((start.elapsed().as_secs_f64() * 1e5).round() / 1e2);
    }
    let line = serde_json::json!({ "step_ms": times[WARM_UP..], "l0": trainer.take_window().l0() });
    println!("{line}");
}

fn read(path: &str) -> Vec<f32> {
    let bytes = fs_err::read(path).expect("a readable file");
    bytes.as_chunks().0.iter().map(|value| f32::from_le_bytes(*value)).collect()
}
