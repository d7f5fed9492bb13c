//! A folder of runs whose answers can be worked out by hand.
//!
//! The SAE of `gpt2/l6` copies its four inputs to latents 0 to 3 and back; latent 4 never fires and
//! latent 5 fires with `x₀ − 2`, unseen by the decoder. Rows, with what fires on them:
//!
//! | row | document | token | latents |
//! |---|---|---|---|
//! | 0 | 10, news | `The` | 0: 1 |
//! | 1 | | ` tide` | 0: 3, 3: 0.5, 5: 1 |
//! | 2 | | ` is` | |
//! | 3 | | ` high` | 0: 2 |
//! | 4 | | `.` | 1: 4 |
//! | 5 | 7, poem | `O` | |
//! | 6 | | ` tide` | 0: 4, 5: 2 |
//! | 7 | | ` my` | 0: 5, 1: 2, 5: 3 |
//! | 8 | | ` dear` | |
//! | 9 | 30, news | `High` | 0: 6, 5: 4 |
//! | 10 | | ` water` | 1: 3 |
//! | 11 | | `.` | 0: 7, 5: 5 |

use crate::support::Client;
use arrow::array::{Float64Array, Int64Array, RecordBatch, StringArray};
use sae_core::{
    Rule, Sae,
    dump::DumpBatch,
    formats::saelens::{self, Origin},
    index::{IndexBuilder, IndexOptions},
};
use std::{path::Path, sync::Arc};
use tempfile::TempDir;

/// The rows' inputs.
pub(crate) const ROWS: [[f32; 4]; 12] = [
    [1.0, 0.0, 0.0, 0.0],
    [3.0, 0.0, 0.0, 0.5],
    [0.0, 0.0, 0.0, 0.0],
    [2.0, 0.0, 0.0, 0.0],
    [0.0, 4.0, 0.0, 0.0],
    [0.0, 0.0, 0.0, 0.0],
    [4.0, 0.0, 0.0, 0.0],
    [5.0, 2.0, 0.0, 0.0],
    [0.0, 0.0, 0.0, 0.0],
    [6.0, 0.0, 0.0, 0.0],
    [0.0, 3.0, 0.0, 0.0],
    [7.0, 0.0, 0.0, 0.0],
];
const TOKENS: [&str; 12] =
    ["The", " tide", " is", " high", ".", "O", " tide", " my", " dear", "High", " water", "."];
const DOC_IDS: [i64; 12] = [10, 10, 10, 10, 10, 7, 7, 7, 7, 30, 30, 30];
const POSITIONS: [i64; 12] = [0, 1, 2, 3, 4, 0, 1, 2, 3, 0, 1, 2];

pub(crate) const CONFIG: &str = "[sae]\nd_sae = 6\n\n[variant]\nname = \"batchtopk\"\nk = 2\n";
const EVENTS: &str = r#"{"step":10,"steps":40,"tokens_seen":640,"loss":0.5,"terms":{"reconstruction":0.5},"l0":2.5,"fvu":0.25,"dead":3,"lr":0.001,"grad_norm":1.5,"tokens_per_s":8000.0}
{"step":20,"steps":40,"tokens_seen":1280,"loss":0.25,"terms":{"reconstruction":0.25},"l0":2.0,"fvu":0.125,"dead":1,"lr":0.001,"grad_norm":1.0,"tokens_per_s":9000.0}
{"step":30,"steps":4"#;

pub(crate) fn sae() -> Sae {
    let unit = |input: usize| (0..4).map(move |i| if i == input { 1.0 } else { 0.0 });
    let copies = (0..4).flat_map(unit);
    let zeros = [0.0; 4];
    let w_enc = copies.clone().chain(zeros).chain(unit(0)).collect();
    let b_enc = vec![0.0, 0.0, 0.0, 0.0, -1.0, -2.0];
    let w_dec = copies.chain(zeros).chain(zeros).collect();
    Sae { apply_b_dec_to_input: false, ..Sae::new(Rule::Standard, w_enc, b_enc, w_dec, vec![0.0; 4]) }
}

/// Builds the index of the rows above, without the columns that `leave_out` names.
pub(crate) fn build_index(run: &Path, leave_out: &[&str]) {
    let category = DOC_IDS.map(|doc_id| if doc_id == 7 { "poem" } else { "news" });
    let others = RecordBatch::try_from_iter([
        ("doc_id", Arc::new(Int64Array::from_iter_values(DOC_IDS)) as _),
        ("pos", Arc::new(Int64Array::from_iter_values(POSITIONS)) as _),
        ("token", Arc::new(StringArray::from_iter_values(TOKENS)) as _),
        ("category", Arc::new(StringArray::from_iter_values(category)) as _),
        ("surprise", Arc::new(Float64Array::from_iter_values((0..12).map(|row| f64::from(row) / 2.0))) as _),
    ])
    .unwrap();
    let kept: Vec<usize> =
        (0..5).filter(|&i| !leave_out.contains(&others.schema().field(i).name().as_str())).collect();
    let others = others.project(&kept).unwrap();
    let options = IndexOptions { model_name: Some("gpt2".into()), ..IndexOptions::default() };
    let sae = sae();
    let mut builder = IndexBuilder::create(&run.join("index"), &sae, &others.schema(), options).unwrap();
    builder.push(&DumpBatch { first_row: 0, activations: ROWS.concat(), companion: vec![], others }).unwrap();
    builder.finish().unwrap();
}

/// Runs of every kind: `gpt2/l6` has all, `trained` has no index, `young` only trains.
pub(crate) fn runs() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let run = |name: &str| {
        let run = folder.path().join(name);
        fs_err::create_dir_all(&run).unwrap();
        fs_err::write(run.join("config.toml"), CONFIG).unwrap();
        run
    };
    let young = run("young");
    fs_err::write(young.join("events.jsonl"), EVENTS).unwrap();
    let origin = Origin {
        model_name: Some("from cfg.json".into()),
        hook_name: Some("blocks.6.hook_resid_post".into()),
        training_architecture: Some("batchtopk".into()),
    };
    saelens::write(&run("trained").join("sae"), &sae(), &origin).unwrap();
    let all = run("gpt2/l6");
    saelens::write(&all.join("sae"), &sae(), &origin).unwrap();
    fs_err::write(all.join("events.jsonl"), EVENTS).unwrap();
    fs_err::write(all.join("eval.json"), r#"{"fvu": 0.0}"#).unwrap();
    build_index(&all, &[]);
    folder
}

/// A server of [`runs`], and their folder.
pub(crate) fn serve_runs() -> (Client, TempDir) {
    let folder = runs();
    (Client::of(folder.path()), folder)
}
