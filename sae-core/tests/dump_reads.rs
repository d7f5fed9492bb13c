//! Dumps of every layout are read as the rows that were written.
#![allow(clippy::unwrap_used)]

use arrow::{
    array::*,
    datatypes::{DataType, Field, Float16Type, Float32Type, Float64Type, Int32Type, Schema, UInt16Type},
};
use half::f16;
use parquet::{arrow::ArrowWriter, file::properties::WriterProperties};
use proptest::prelude::*;
use sae_core::dump::{Columns, Dtype, Dump, DumpInfo, DumpOptions, DumpWriter, DumpWriterOptions};
use std::{path::Path, sync::Arc};

fn open(path: &Path) -> Dump {
    Dump::open(path.to_str().unwrap(), &DumpOptions::default()).unwrap()
}

/// A Parquet file of the given columns, in row groups of `rows` rows.
fn write(path: &Path, columns: Vec<(&str, ArrayRef)>, rows: usize) {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(rows)).build();
    let mut writer =
        ArrowWriter::try_new(fs_err::File::create(path).unwrap(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

/// Everything that a dump gives: activations, other columns, rows left out.
fn read(dump: &Dump, columns: Columns<'_>) -> (Vec<f32>, RecordBatch, u64) {
    let mut reader = dump.read(columns);
    let (mut activations, mut others, mut next_row) = (Vec::new(), Vec::new(), 0);
    for batch in &mut reader {
        let batch = batch.unwrap();
        assert_eq!(batch.first_row, next_row);
        assert!((1..=8192).contains(&batch.others.num_rows()));
        assert_eq!(batch.activations.len(), batch.others.num_rows() * dump.d_in());
        next_row += batch.others.num_rows() as u64;
        activations.extend(batch.activations);
        others.push(batch.others);
    }
    let others = arrow::compute::concat_batches(&others[0].schema(), &others).unwrap();
    (activations, others, reader.skipped())
}

fn floats(n: usize) -> Vec<f32> {
    // Exact in f16.
    (0..n).map(|i| ((i * 7919) % 2048) as f32 / 64.0 - 16.0).collect()
}

fn column<'a, A: 'static>(batch: &'a RecordBatch, name: &str) -> &'a A {
    batch.column_by_name(name).unwrap().as_any().downcast_ref().unwrap()
}

#[test]
fn every_list_and_float_type_gives_the_same_activations() {
    const D: usize = 5;
    let dir = tempfile::tempdir().unwrap();
    let x = floats(7 * D);
    let rows = || x.chunks(D);
    let f16s = || rows().map(|row| Some(row.iter().map(|v| Some(f16::from_f32(*v))).collect::<Vec<_>>()));
    let f32s = || rows().map(|row| Some(row.iter().map(|v| Some(*v)).collect::<Vec<_>>()));
    let f64s = || rows().map(|row| Some(row.iter().map(|v| Some(f64::from(*v))).collect::<Vec<_>>()));
    let columns: [ArrayRef; 9] = [
        Arc::new(ListArray::from_iter_primitive::<Float16Type, _, _>(f16s())),
        Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>(f32s())),
        Arc::new(ListArray::from_iter_primitive::<Float64Type, _, _>(f64s())),
        Arc::new(LargeListArray::from_iter_primitive::<Float16Type, _, _>(f16s())),
        Arc::new(LargeListArray::from_iter_primitive::<Float32Type, _, _>(f32s())),
        Arc::new(LargeListArray::from_iter_primitive::<Float64Type, _, _>(f64s())),
        Arc::new(FixedSizeListArray::from_iter_primitive::<Float16Type, _, _>(f16s(), D as i32)),
        Arc::new(FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(f32s(), D as i32)),
        Arc::new(FixedSizeListArray::from_iter_primitive::<Float64Type, _, _>(f64s(), D as i32)),
    ];
    for (i, activations) in columns.into_iter().enumerate() {
        let path = dir.path().join(format!("{i}.parquet"));
        write(&path, vec![("any_name", activations)], 3);
        let dump = open(&path);
        assert_eq!((dump.d_in(), dump.n_rows(), dump.activation_column()), (D, 7, "any_name"));
        let (activations, others, skipped) = read(&dump, Columns::All);
        assert_eq!((activations, others.num_columns(), skipped), (x.clone(), 0, 0));
    }
}

#[test]
fn the_activations_are_told_from_other_lists_of_floats() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.parquet");
    let lists = |v: f32| -> ArrayRef {
        Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>([Some(vec![Some(v), Some(v)])]))
    };
    write(&path, vec![("gradient", lists(1.0)), ("resid", lists(2.0)), ("target", lists(3.0))], 10);
    assert_eq!(open(&path).activation_column(), "resid");
    write(&path, vec![("resid", lists(1.0)), ("activation", lists(2.0))], 10);
    assert_eq!(open(&path).activation_column(), "activation");
    let options = DumpOptions { activation_columns: vec!["resid".into()], ..Default::default() };
    let dump = Dump::open(path.to_str().unwrap(), &options).unwrap();
    assert_eq!(read(&dump, Columns::Activations).0, [1.0, 1.0]);
    assert_eq!(dump.other_columns().field(0).name(), "activation");
}

#[test]
fn strings_of_every_kind_become_utf8() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.parquet");
    let activations = ListArray::from_iter_primitive::<Float32Type, _, _>(vec![Some(vec![Some(0.0)]); 3]);
    let words = [Some("a"), None, Some("a")];
    write(
        &path,
        vec![
            ("activation", Arc::new(activations) as ArrayRef),
            ("utf8", Arc::new(StringArray::from_iter(words))),
            ("large", Arc::new(LargeStringArray::from_iter(words))),
            ("view", Arc::new(StringViewArray::from_iter(words))),
            ("small_dictionary", Arc::new(DictionaryArray::<UInt16Type>::from_iter(words))),
            ("dictionary", Arc::new(DictionaryArray::<Int32Type>::from_iter(words))),
        ],
        2,
    );
    let dump = open(&path);
    let (_, others, _) = read(&dump, Columns::All);
    assert_eq!(others.schema().as_ref(), dump.other_columns());
    for strings in others.columns() {
        assert_eq!(strings.as_ref(), &StringArray::from_iter(words) as &dyn Array);
    }
    let (_, others, _) = read(&dump, Columns::Named(&["view", "utf8"]));
    let names: Vec<_> = others.schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(names, ["view", "utf8"]);
}

fn options(dtype: Dtype) -> DumpWriterOptions {
    DumpWriterOptions { dtype, rows_per_file: 10_000, ..Default::default() }
}

#[test]
fn what_is_written_is_read_back_over_several_files() {
    const D: usize = 3;
    const N: usize = 25_000;
    let dir = tempfile::tempdir().unwrap();
    let x = floats(N * D);
    for (dtype, compress) in [(Dtype::F16, true), (Dtype::F32, false)] {
        let path = dir.path().join(format!("new/{compress}"));
        let info = DumpInfo { model_name: Some("m".into()), ..Default::default() };
        let mut writer =
            DumpWriter::create(&path, D, DumpWriterOptions { compress, ..options(dtype) }, info).unwrap();
        let doc_id = Int64Array::from_iter_values(0..N as i64);
        let others = RecordBatch::try_from_iter([("doc_id", Arc::new(doc_id) as ArrayRef)]).unwrap();
        for from in (0..N).step_by(7000) {
            let n = 7000.min(N - from);
            writer.write(&x[from * D..][..n * D], Some(&others.slice(from, n))).unwrap();
        }
        assert!(!path.exists(), "the directory appears only when it is complete");
        writer.finish().unwrap();
        let dump = open(&path);
        assert_eq!(dump.files().iter().map(|file| file.rows).collect::<Vec<_>>(), [10_000, 10_000, 5_000]);
        assert_eq!(dump.info().model_name.as_deref(), Some("m"));
        assert_eq!((dump.info().format_version, dump.info().n_rows), (Some(1), Some(N as u64)));
        let (activations, read_others, _) = read(&dump, Columns::All);
        assert!(activations == x);
        assert_eq!(read_others.column(0), others.column(0));
        // The glob of its files, and one of them alone, are dumps too.
        assert_eq!(open(&path.join("*.parquet")).n_rows(), N as u64);
        assert_eq!(open(&path.join("0000[12].parquet")).n_rows(), 15_000);
        assert_eq!(open(&path.join("00002.parquet")).n_rows(), 5_000);
    }
    let left: Vec<_> = fs_err::read_dir(dir.path().join("new")).unwrap().collect();
    assert_eq!(left.len(), 2, "no temporary directory is left");
}

/// `[rows][ctx][d]`
fn nested(rows: &[Vec<Vec<f32>>]) -> ArrayRef {
    let mut lists = ListBuilder::new(ListBuilder::new(Float32Builder::new()));
    for row in rows {
        for activation in row {
            lists.values().values().append_slice(activation);
            lists.values().append(true);
        }
        lists.append(true);
    }
    Arc::new(lists.finish())
}

#[test]
fn nested_rows_are_flattened_with_their_companions() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.parquet");
    let rows = [vec![vec![1.0, 2.0], vec![3.0, 4.0]], vec![], vec![vec![5.0, 6.0]]];
    let ids = vec![Some(vec![Some(7), None]), Some(vec![]), Some(vec![Some(9)])];
    let mut tokens = ListBuilder::new(StringBuilder::new());
    tokens.append_value([Some("a"), Some("b")]);
    tokens.append_value(Vec::<Option<&str>>::new());
    tokens.append_value([Some("c")]);
    // Not as long as the contexts: a property of the row.
    let tags = vec![Some(vec![Some(1), Some(2), Some(3)]), None, Some(vec![])];
    write(
        &path,
        vec![
            ("activation", nested(&rows)),
            ("input_ids", Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(ids))),
            ("token", Arc::new(tokens.finish())),
            ("label", Arc::new(StringArray::from(vec!["x", "y", "z"]))),
            ("tags", Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(tags))),
        ],
        2,
    );
    let dump = open(&path);
    assert_eq!((dump.d_in(), dump.n_rows()), (2, 3));
    let (activations, others, _) = read(&dump, Columns::All);
    assert_eq!(activations, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    assert_eq!(column::<Int32Array>(&others, "input_ids"), &Int32Array::from(vec![Some(7), None, Some(9)]));
    assert_eq!(column::<StringArray>(&others, "token"), &StringArray::from(vec!["a", "b", "c"]));
    assert_eq!(column::<StringArray>(&others, "label"), &StringArray::from(vec!["x", "x", "z"]));
    assert_eq!(column::<ListArray>(&others, "tags").value_length(1), 3);
    assert_eq!(column::<Int64Array>(&others, "doc_id"), &Int64Array::from(vec![0, 0, 2]));
    assert_eq!(column::<Int32Array>(&others, "pos"), &Int32Array::from(vec![0, 1, 0]));
    let (_, others, _) = read(&dump, Columns::Named(&["pos"]));
    assert_eq!(others.num_columns(), 1);
}

#[test]
fn a_nested_dump_keeps_its_own_doc_id_and_pos() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.parquet");
    let pos = ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(5), Some(6)])]);
    write(
        &path,
        vec![
            ("activation", nested(&[vec![vec![1.0], vec![2.0]]])),
            ("pos", Arc::new(pos)),
            ("doc_id", Arc::new(Int32Array::from(vec![4]))),
        ],
        2,
    );
    let (_, others, _) = read(&open(&path), Columns::All);
    assert_eq!(others.num_columns(), 2);
    assert_eq!(column::<Int32Array>(&others, "pos"), &Int32Array::from(vec![5, 6]));
    assert_eq!(column::<Int32Array>(&others, "doc_id"), &Int32Array::from(vec![4, 4]));
}

#[test]
fn nested_rows_longer_than_a_batch_are_split() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.parquet");
    let row: Vec<_> = floats(20_000).into_iter().map(|v| vec![v]).collect();
    write(&path, vec![("activation", nested(&[row.clone(), row]))], 100);
    let (activations, others, _) = read(&open(&path), Columns::All);
    assert_eq!(activations, [floats(20_000), floats(20_000)].concat());
    assert_eq!(column::<Int32Array>(&others, "pos").value(39_999), 19_999);
    assert_eq!(column::<Int64Array>(&others, "doc_id").value(20_000), 1);
}

#[test]
fn tokens_come_from_the_vocabulary_when_the_dump_has_none() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.parquet");
    let activations = ListArray::from_iter_primitive::<Float32Type, _, _>(vec![Some(vec![Some(0.0)]); 3]);
    let token_id = Int32Array::from(vec![Some(2), None, Some(0)]);
    write(&path, vec![("activation", Arc::new(activations)), ("token_id", Arc::new(token_id))], 10);
    for (name, text) in [
        ("vocab.txt", "the\n##ing\n cat\n"),
        ("vocab.json", r#"["the", "-ing", " cat"]"#),
        ("ids.json", r#"{" cat": 2, "the": 0}"#),
    ] {
        fs_err::write(dir.path().join(name), text).unwrap();
        fs_err::write(dir.path().join("dump.json"), format!(r#"{{"vocab": "{name}"}}"#)).unwrap();
        let dump = open(&path);
        assert_eq!(dump.other_columns().field(1).data_type(), &DataType::Utf8);
        for columns in [Columns::All, Columns::Named(&["token"])] {
            let (_, others, _) = read(&dump, columns);
            let tokens = StringArray::from(vec![Some(" cat"), None, Some("the")]);
            assert_eq!(column::<StringArray>(&others, "token"), &tokens);
        }
    }
}

#[test]
fn skipped_rows_are_counted_and_the_rest_is_numbered_anew() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.parquet");
    let rows = vec![
        None,
        Some(vec![Some(1.0), Some(2.0)]),
        Some(vec![Some(f32::NAN), Some(2.0)]),
        Some(vec![Some(1.0)]),
        Some(vec![Some(1.0), None]),
        Some(vec![Some(3.0), Some(f32::NEG_INFINITY)]),
        Some(vec![Some(3.0), Some(4.0)]),
    ];
    let activations = ListArray::from_iter_primitive::<Float32Type, _, _>(rows);
    let ids = Int32Array::from_iter_values(0..7);
    write(&path, vec![("activation", Arc::new(activations)), ("token_id", Arc::new(ids))], 4);
    let options = DumpOptions { skip_bad_rows: true, ..Default::default() };
    let dump = Dump::open(path.to_str().unwrap(), &options).unwrap();
    let (activations, others, skipped) = read(&dump, Columns::All);
    assert_eq!((activations.as_slice(), skipped), ([1.0, 2.0, 3.0, 4.0].as_slice(), 5));
    assert_eq!(column::<Int32Array>(&others, "token_id"), &Int32Array::from(vec![1, 6]));
    assert_eq!(dump.n_rows(), 7, "an upper bound");
}

#[test]
fn the_hash_depends_on_names_and_data_but_not_on_the_place() {
    let dir = tempfile::tempdir().unwrap();
    let dump = |directory: &str, file: &str, value: f32| {
        let directory = dir.path().join(directory);
        fs_err::create_dir_all(&directory).unwrap();
        let lists = ListArray::from_iter_primitive::<Float32Type, _, _>([Some(vec![Some(value)])]);
        write(&directory.join(file), vec![("activation", Arc::new(lists))], 10);
        open(&directory).content_hash().unwrap()
    };
    let hash = dump("a", "0.parquet", 1.0);
    assert_eq!(hash.len(), 64);
    assert_eq!(hash, dump("b", "0.parquet", 1.0));
    assert_ne!(hash, dump("c", "1.parquet", 1.0));
    assert_ne!(hash, dump("d", "0.parquet", 2.0), "the statistics differ");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Row groups, files, batches and contexts of any size give the same rows in the same order.
    #[test]
    fn nested_and_flat_agree(
        contexts in prop::collection::vec(prop::collection::vec(-1000i32..1000, 0..6), 1..40),
        group in 1usize..20,
        d_in in 1usize..4,
    ) {
        let rows: Vec<Vec<Vec<f32>>> =
            contexts.iter().map(|ctx| ctx.iter().map(|v| vec![*v as f32; d_in]).collect()).collect();
        let flat: Vec<f32> = rows.iter().flatten().flatten().copied().collect();
        prop_assume!(!flat.is_empty());
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.parquet");
        let ids = ListArray::from_iter_primitive::<Int32Type, _, _>(
            contexts.iter().map(|ctx| Some(ctx.iter().map(|v| Some(*v)).collect::<Vec<_>>())),
        );
        write(&path, vec![("activation", nested(&rows)), ("token_id", Arc::new(ids))], group);
        let dump = open(&path);
        let (activations, others, _) = read(&dump, Columns::All);
        prop_assert_eq!(&activations, &flat);
        let ids: Vec<f32> = column::<Int32Array>(&others, "token_id").values().iter().map(|v| *v as f32).collect();
        prop_assert_eq!(ids, flat.iter().step_by(d_in).copied().collect::<Vec<_>>());
        prop_assert!(dump.n_rows() as usize >= others.num_rows());
    }
}

#[test]
fn a_type_that_only_looks_different_is_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let words = ["a", "b"];
    let lists = || -> ArrayRef {
        Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>(vec![Some(vec![Some(0.0)]); 2]))
    };
    let fixed =
        FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(vec![Some(vec![Some(0.0)]); 2], 1);
    write(
        &dir.path().join("0.parquet"),
        vec![("activation", lists()), ("token", Arc::new(StringArray::from_iter_values(words)))],
        10,
    );
    let dictionary = DictionaryArray::<Int32Type>::from_iter(words);
    write(
        &dir.path().join("1.parquet"),
        vec![("token", Arc::new(dictionary)), ("activation", Arc::new(fixed))],
        10,
    );
    fs_err::write(dir.path().join(".half-written.parquet"), "").unwrap();
    let (activations, others, _) = read(&open(dir.path()), Columns::All);
    assert_eq!(activations, [0.0; 4]);
    assert_eq!(others.schema().as_ref(), &Schema::new(vec![Field::new("token", DataType::Utf8, true)]));
}

#[test]
fn the_sample_is_a_dump() {
    let dump = open(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/sample/dump"));
    let (activations, others, _) = read(&dump, Columns::All);
    assert_eq!(Some(dump.n_rows()), dump.info().n_rows);
    assert_eq!(activations.len() as u64, dump.n_rows() * dump.d_in() as u64);
    assert_eq!(dump.d_in(), 384);
    assert!(dump.info().more.contains_key("settings"));
    for name in ["doc_id", "pos", "token_id", "token", "kind", "document"] {
        assert_eq!(others.column_by_name(name).unwrap().null_count(), 0, "{name}");
    }
}
