//! What goes wrong, what is said then, and that nothing is left behind.

use super::{D_COMPANION, Dump, Noise, sae};
use crate::{
    Result, Rule, Sae, Target,
    index::{Index, IndexBuilder, IndexOptions, postings::BatchSizes},
};
use arrow::{
    array::{ArrayRef, Int64Array, RecordBatch, StringArray},
    datatypes::Schema,
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};
use tempfile::TempDir;

fn example() -> (Sae, Dump) {
    let mut noise = Noise(1);
    (sae(&mut noise, 3, 20), Dump::new(&mut noise, 3, 40))
}

fn built() -> (TempDir, PathBuf) {
    let (sae, dump) = example();
    let dir = tempfile::tempdir().unwrap();
    let index = dir.path().join("index");
    dump.index(&index, &sae, IndexOptions::default(), BatchSizes::default(), 7).unwrap();
    (dir, index)
}

fn message<T>(result: Result<T>) -> String {
    result.err().expect("an error").to_string()
}

#[track_caller]
fn assert_says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "{message:?} does not say {part:?}");
    }
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs_err::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn an_index_has_its_files_and_nothing_else() {
    let (dir, index) = built();
    let files =
        ["codes.arrow", "documents.arrow", "latents.arrow", "meta.json", "postings.arrow", "rows.arrow"];
    assert_eq!(names(&index), files);
    assert_eq!(names(dir.path()), ["index"]);
}

#[test]
fn opening_nothing() {
    let dir = tempfile::tempdir().unwrap();
    assert_says(&message(Index::open(dir.path())), &["expected an index, found no meta.json", "sae index"]);
    assert_says(&message(Index::open(&dir.path().join("x"))), &["/x: ", "no meta.json"]);
}

#[test]
fn opening_without_a_file() {
    for file in ["codes.arrow", "documents.arrow", "latents.arrow", "postings.arrow", "rows.arrow"] {
        let (_dir, index) = built();
        fs_err::remove_file(index.join(file)).unwrap();
        assert_says(&message(Index::open(&index)), &[file, "found none", "build the index again"]);
    }
}

#[test]
fn opening_a_file_cut_short() {
    for file in ["codes.arrow", "documents.arrow", "latents.arrow", "postings.arrow", "rows.arrow"] {
        let (_dir, index) = built();
        let bytes = fs_err::read(index.join(file)).unwrap();
        fs_err::write(index.join(file), &bytes[..bytes.len() - 100]).unwrap();
        let (expected, found) = (bytes.len().to_string(), (bytes.len() - 100).to_string());
        assert_says(&message(Index::open(&index)), &[file, &expected, &found, "copy"]);
    }
}

#[test]
fn opening_another_version() {
    let (_dir, index) = built();
    let path = index.join("meta.json");
    fs_err::write(&path, r#"{"format_version": 7, "of": "the future"}"#).unwrap();
    assert_says(&message(Index::open(&index)), &["meta.json", "expected format_version 1, found 7"]);
    fs_err::write(&path, r#"{"format_version": 1}"#).unwrap();
    assert_says(&message(Index::open(&index)), &["meta.json", "missing field"]);
    fs_err::write(&path, "no json").unwrap();
    assert_says(&message(Index::open(&index)), &["meta.json", "expected ident"]);
}

#[test]
fn opening_a_meta_that_does_not_fit() {
    let replace = |from: &str, to: &str| {
        let (_dir, index) = built();
        let meta = fs_err::read_to_string(index.join("meta.json")).unwrap();
        assert!(meta.contains(from), "{meta}");
        fs_err::write(index.join("meta.json"), meta.replacen(from, to, 1)).unwrap();
        message(Index::open(&index))
    };
    assert_says(
        &replace(r#""n_rows": 40"#, r#""n_rows": 41"#),
        &["codes.arrow", "expected 41 rows, found 40"],
    );
    assert_says(
        &replace(r#""d_sae": 20"#, r#""d_sae": 2"#),
        &["postings.arrow", "expected 2 rows, found 20"],
    );
    assert_says(
        &replace(r#""batch_rows": 65536"#, r#""batch_rows": 8"#),
        &["codes.arrow", "batches of 8 rows"],
    );
    assert_says(
        &replace(r#""batch_rows": 65536"#, r#""batch_rows": 0"#),
        &["meta.json", "batches of no rows"],
    );
    assert_says(
        &replace(r#""name": "pos""#, r#""name": "position""#),
        &["rows.arrow", "position: Int32", "pos: Int32"],
    );
    assert_says(
        &replace(r#""column": "author""#, r#""column": "a""#),
        &["latents.arrow", "group.a: ", "group.author"],
    );
    assert_says(
        &replace(r#""name": "codes.arrow""#, r#""name": "c.arrow""#),
        &["meta.json", "no size of codes.arrow"],
    );
    assert_says(
        &replace(r#""token_column": "token""#, r#""token_column": "pos""#),
        &["rows.arrow", "tokens in column pos"],
    );
}

#[test]
fn opening_altered_bytes_never_panics() {
    let (_dir, index) = built();
    for file in ["codes.arrow", "documents.arrow", "latents.arrow", "postings.arrow", "rows.arrow"] {
        let bytes = fs_err::read(index.join(file)).unwrap();
        for seed in 0..60 {
            let mut altered = bytes.clone();
            let at = Noise(seed).below(bytes.len() as u64) as usize;
            altered[at..(at + 4).min(bytes.len())].fill(0xff);
            fs_err::write(index.join(file), altered).unwrap();
            if let Err(error) = Index::open(&index) {
                assert_says(&error.to_string(), &[file, "build the index again"]);
            }
        }
        fs_err::write(index.join(file), &bytes[..]).unwrap();
    }
    let nothing = vec![0; fs_err::metadata(index.join("codes.arrow")).unwrap().len() as usize];
    fs_err::write(index.join("codes.arrow"), nothing).unwrap();
    assert_says(&message(Index::open(&index)), &["codes.arrow", "expected an Arrow IPC file"]);
}

#[test]
fn a_build_that_is_dropped_or_fails_leaves_nothing() {
    let (sae, dump) = example();
    let dir = tempfile::tempdir().unwrap();
    let index = dir.path().join("index");
    let create = || IndexBuilder::create(&index, &sae, &dump.schema(), IndexOptions::default()).unwrap();
    let mut builder = create();
    builder.push(&dump.batch(0..9)).unwrap();
    assert!(!index.exists());
    drop(builder);
    assert_eq!(names(dir.path()), [""; 0]);
    assert_says(&message(create().finish()), &["at least one row, found none"]);
    assert_eq!(names(dir.path()), [""; 0]);
}

#[test]
fn an_index_is_replaced_by_a_whole_one_only() {
    let (dir, index) = built();
    let (sae, dump) = example();
    let before = fs_err::read(index.join("meta.json")).unwrap();
    let opened = Index::open(&index).unwrap();
    let options = IndexOptions { created_by: "another".to_owned(), ..IndexOptions::default() };
    let mut builder = IndexBuilder::create(&index, &sae, &dump.schema(), options).unwrap();
    builder.push(&dump.batch(0..9)).unwrap();
    assert_eq!(fs_err::read(index.join("meta.json")).unwrap(), before);
    builder.finish().unwrap();
    assert_eq!(names(dir.path()), ["index"]);
    assert_eq!(Index::open(&index).unwrap().meta().created_by, "another");
    // What was open stays readable.
    assert_eq!(opened.codes(39), (sae.encode(&dump.activations).row(39)));
}

#[test]
fn other_files_are_not_replaced() {
    let (sae, dump) = example();
    let dir = tempfile::tempdir().unwrap();
    fs_err::write(dir.path().join("thesis.tex"), "").unwrap();
    let created = IndexBuilder::create(dir.path(), &sae, &dump.schema(), IndexOptions::default());
    assert_says(&message(created.map(drop)), &["found other files", "choose another place"]);
    let file = dir.path().join("thesis.tex");
    let created = IndexBuilder::create(&file, &sae, &dump.schema(), IndexOptions::default());
    assert_says(&message(created.map(drop)), &["thesis.tex"]);
}

#[test]
fn a_place_that_cannot_be_written() {
    let (sae, dump) = example();
    let dir = tempfile::tempdir().unwrap();
    fs_err::write(dir.path().join("a file"), "").unwrap();
    let index = dir.path().join("a file").join("index");
    let created = IndexBuilder::create(&index, &sae, &dump.schema(), IndexOptions::default());
    assert_says(&message(created.map(drop)), &["a file"]);
}

#[test]
fn a_document_that_comes_back() {
    let doc_ids = |ids: Vec<Option<i64>>| {
        let column: ArrayRef = Arc::new(Int64Array::from(ids));
        RecordBatch::try_from_iter_with_nullable([("doc_id", column, true)]).unwrap()
    };
    let (sae, mut dump) = example();
    let dir = tempfile::tempdir().unwrap();
    let mut build = |ids: Vec<Option<i64>>, step| {
        dump.activations = vec![1.0; ids.len() * 3];
        dump.others = doc_ids(ids);
        dump.index(&dir.path().join("index"), &sae, IndexOptions::default(), BatchSizes::default(), step)
    };
    for step in 1..5 {
        let returns = message(build([4, 4, 5, 4].map(Some).to_vec(), step));
        assert_says(&returns, &["row 3", "document 4", "sort the dump by doc_id, pos"]);
        let missing = message(build(vec![Some(4), None], step));
        assert_says(&missing, &["row 1", "doc_id", "found none"]);
        assert_eq!(build([4, 4, 3, 3].map(Some).to_vec(), step).unwrap().n_documents, 2);
    }
    assert_eq!(names(dir.path()), ["index"]);
}

#[test]
fn batches_that_do_not_fit() {
    let (mut sae, dump) = example();
    sae = Sae { target: Target::Companion { w_skip: None }, ..sae };
    (sae.d_out, sae.b_dec, sae.w_dec) = (D_COMPANION, vec![0.0; D_COMPANION], vec![0.0; 20 * D_COMPANION]);
    let dir = tempfile::tempdir().unwrap();
    let schema = dump.schema();
    let mut builder =
        IndexBuilder::create(&dir.path().join("index"), &sae, &schema, IndexOptions::default()).unwrap();
    builder.push(&dump.batch(0..9)).unwrap();
    assert_says(&message(builder.push(&dump.batch(8..9))), &["starts at row 9", "starts at row 8"]);
    let mut batch = dump.batch(9..12);
    batch.activations.pop();
    assert_says(&message(builder.push(&batch)), &["row 9", "width 3", "8 numbers for 3 rows"]);
    let mut batch = dump.batch(9..12);
    batch.others = batch.others.project(&[0, 1]).unwrap();
    assert_says(&message(builder.push(&batch)), &["row 9", "author", "found (pos: Int32, doc_id: Int64)"]);
    let mut batch = dump.batch(9..12);
    batch.companion.clear();
    assert_says(&message(builder.push(&batch)), &["row 9", "target of width 4", "0 numbers for 3 rows"]);
}

#[test]
fn columns_that_cannot_carry_their_meaning() {
    let (sae, _) = example();
    let dir = tempfile::tempdir().unwrap();
    let create = |name: &str, column: ArrayRef| {
        let batch = RecordBatch::try_from_iter([(name, column)]).unwrap();
        let schema: Arc<Schema> = batch.schema();
        message(
            IndexBuilder::create(&dir.path().join("index"), &sae, &schema, IndexOptions::default()).map(drop),
        )
    };
    let text = create("doc_id", Arc::new(StringArray::from(vec!["a"])));
    assert_says(&text, &["`doc_id`", "expected integers, found Utf8", "rename it"]);
    let number = create("token", Arc::new(Int64Array::from(vec![1])));
    assert_says(&number, &["`token`", "expected strings, found Int64"]);
}

#[test]
fn activations_too_large() {
    let (mut sae, dump) = example();
    sae.rule = Rule::Standard;
    sae.w_enc.fill(f32::MAX);
    sae.b_enc.fill(f32::MAX);
    let mut batch = dump.batch(0..2);
    batch.activations.fill(9.0);
    let dir = tempfile::tempdir().unwrap();
    let mut builder =
        IndexBuilder::create(&dir.path().join("index"), &sae, &dump.schema(), IndexOptions::default())
            .unwrap();
    assert_says(&message(builder.push(&batch)), &["row 0", "latent 0 at inf"]);
}
