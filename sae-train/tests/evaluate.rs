//! Measuring SAEs on dumps: what a reconstruction is held against, on which rows.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use arrow::{
    array::{ArrayRef, FixedSizeListArray, Int64Array, RecordBatch},
    datatypes::Float32Type,
};
use sae_core::{
    Normalize, Rule, Sae, Target,
    dump::{Dtype, Dump, DumpInfo, DumpWriter, DumpWriterOptions},
};
use sae_train::{
    Config,
    evaluate::{Over, evaluate},
    source,
};
use std::{path::Path, sync::Arc};

const N_ROWS: usize = 400;

/// Rows `x` in the plane with the targets `(x₀ + x₁, x₀ − x₁, 2)`, four rows to a document.
fn write_dump(path: &Path) {
    let options = DumpWriterOptions { dtype: Dtype::F32, ..DumpWriterOptions::default() };
    let mut writer = DumpWriter::create(path, 2, options, DumpInfo::default()).unwrap();
    let x: Vec<f32> = (1..=2 * N_ROWS).map(|i| (i as f32 * 0.7).sin()).collect();
    let targets = x.chunks_exact(2).map(|x| Some([x[0] + x[1], x[0] - x[1], 2.0].map(Some)));
    let targets = FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(targets, 3);
    let others = RecordBatch::try_from_iter([
        ("target", Arc::new(targets) as ArrayRef),
        ("doc_id", Arc::new(Int64Array::from_iter_values((0..N_ROWS as i64).map(|row| row / 4)))),
    ]);
    writer.write(&x, Some(&others.unwrap())).unwrap();
    writer.finish().unwrap();
}

/// A skip transcoder whose latents, both signs of each input, give the first target, and whose skip path
/// gives the second.
fn transcoder() -> Sae {
    let w_enc = vec![1.0, 0.0, -1.0, 0.0, 0.0, 1.0, 0.0, -1.0];
    let w_dec = vec![1.0, 0.0, 0.0, -1.0, 0.0, 0.0, 1.0, 0.0, 0.0, -1.0, 0.0, 0.0];
    Sae {
        apply_b_dec_to_input: false,
        target: Target::Companion { w_skip: Some(vec![0.0, 0.0, 1.0, -1.0, 0.0, 0.0]) },
        ..Sae::new(Rule::Standard, w_enc, vec![0.0; 4], w_dec, vec![0.0, 0.0, 2.0])
    }
}

#[test]
fn a_transcoder_is_held_against_its_target() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dump");
    write_dump(&path);
    let (data, config) = (path.to_str().unwrap(), Config::load(None, &[]).unwrap());
    let mut sae = transcoder();
    let dump = source::open_dump_for(&sae, &config, data).unwrap();
    let split = source::split(&config, &dump);
    let measure = |sae: &Sae, over| evaluate(sae, &dump, over, &mut |_| {}).unwrap().unwrap();
    let everything = measure(&sae, Over::Everything);
    assert!(everything.fvu < 1e-12, "{everything:?}");
    assert_eq!((everything.n_rows, everything.l0_mean), (N_ROWS as u64, 2.0));
    let held_out = measure(&sae, Over::HeldOut(&split));
    assert!(held_out.fvu < 1e-12 && (1..N_ROWS as u64 / 2).contains(&held_out.n_rows), "{held_out:?}");

    // A target that is off by a half in one place of each row.
    sae.b_dec[2] = 2.5;
    assert!((measure(&sae, Over::HeldOut(&split)).mean_squared_error - 0.25).abs() < 1e-6);
}

#[test]
fn a_dump_without_the_target_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dump");
    write_dump(&path);
    let data = path.to_str().unwrap();
    let sae = transcoder();
    let other = Config::load(None, &["data.target_column=other".to_owned()]).unwrap();
    let message = source::open_dump_for(&sae, &other, data).unwrap_err().to_string();
    assert!(message.contains("`other`") && message.contains("data.target_column"), "{message}");

    let config = Config::load(None, &[]).unwrap();
    let narrow = Sae { d_out: 2, w_dec: vec![0.0; 8], b_dec: vec![0.0; 2], ..transcoder() };
    let dump = source::open_dump_for(&narrow, &config, data).unwrap();
    let message = evaluate(&narrow, &dump, Over::Everything, &mut |_| {}).unwrap_err().to_string();
    assert!(message.contains("targets (target) have width 3, the SAE expects 2"), "{message}");
}

#[test]
fn an_autoencoder_needs_no_second_vectors_and_sees_rows_normalised() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dump");
    write_dump(&path);
    // Its method trains on gradients, which this dump lacks.
    let config = Config::load(None, &["variant.name=gradient_topk".to_owned()]).unwrap();
    assert!(source::open_dump(&config, path.to_str().unwrap()).is_err());
    let w = vec![1.0, 0.0, -1.0, 0.0, 0.0, 1.0, 0.0, -1.0];
    let sae = Sae {
        normalize: Normalize::LayerNorm,
        ..Sae::new(Rule::Standard, w.clone(), vec![0.0; 4], w, vec![0.0; 2])
    };
    let dump: Dump = source::open_dump_for(&sae, &config, path.to_str().unwrap()).unwrap();
    let metrics = evaluate(&sae, &dump, Over::Everything, &mut |_| {}).unwrap().unwrap();
    assert!(metrics.fvu < 1e-6, "{metrics:?}");
}
