//! What a dump is refused for, and what the user is told.
#![allow(clippy::unwrap_used)]

use arrow::{
    array::*,
    datatypes::{Float32Type, Float64Type, Int32Type},
};
use parquet::{
    arrow::ArrowWriter,
    basic::Compression,
    file::{
        properties::WriterProperties,
        reader::{FileReader, SerializedFileReader},
    },
};
use sae_core::{
    Error,
    dump::{Columns, Dtype, Dump, DumpError, DumpInfo, DumpOptions, DumpWriter, DumpWriterOptions},
};
use std::{path::Path, sync::Arc};
use tempfile::TempDir;

/// A directory for the files of a test; its path is written `DIR` in the messages compared.
struct Dir(TempDir);

impl Dir {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    /// The message with which the dump `name` is refused, when opened or when read.
    fn refusal(&self, name: &str) -> String {
        self.refusal_with(name, &DumpOptions::default(), Columns::All)
    }

    fn refusal_with(&self, name: &str, options: &DumpOptions, columns: Columns<'_>) -> String {
        let opened = Dump::open(self.path(name).to_str().unwrap(), options);
        self.message(opened.and_then(|dump| {
            let mut reader = dump.read(columns);
            let refused = reader.find_map(Result::err);
            assert!(reader.next().is_none(), "after an error a reader ends");
            refused.map_or(Ok(()), Err)
        }))
    }

    fn message<T: std::fmt::Debug>(&self, result: sae_core::Result<T>) -> String {
        result.unwrap_err().to_string().replace(self.0.path().to_str().unwrap(), "DIR")
    }

    fn write(&self, name: &str, columns: Vec<(&str, ArrayRef)>) {
        write(&self.path(name), columns, Compression::UNCOMPRESSED);
    }

    fn info(&self, json: &str) {
        fs_err::write(self.path("dump.json"), json).unwrap();
    }
}

fn write(path: &Path, columns: Vec<(&str, ArrayRef)>, compression: Compression) {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let properties =
        WriterProperties::builder().set_max_row_group_row_count(Some(2)).set_compression(compression).build();
    let file = fs_err::File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

fn lists(rows: &[&[f32]]) -> ArrayRef {
    let rows = rows.iter().map(|row| Some(row.iter().map(|v| Some(*v)).collect::<Vec<_>>()));
    Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>(rows))
}

fn fixed(rows: &[&[f32]]) -> ArrayRef {
    let width = rows[0].len() as i32;
    let rows = rows.iter().map(|row| Some(row.iter().map(|v| Some(*v)).collect::<Vec<_>>()));
    Arc::new(FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(rows, width))
}

fn ints(values: &[i32]) -> ArrayRef {
    Arc::new(Int32Array::from(values.to_vec()))
}

#[test]
fn a_path_without_a_dump() {
    let dir = Dir::new();
    assert_eq!(
        dir.refusal("none"),
        "DIR/none: expected a Parquet file, a directory of them or a glob, found nothing there; check the path"
    );
    assert_eq!(
        dir.refusal(""),
        "DIR/: expected Parquet files, found a directory without any; \
         give a file, a directory of `*.parquet` files or a glob"
    );
    assert_eq!(
        dir.refusal("*.parquet"),
        "DIR/*.parquet: expected Parquet files, found no file that matches; \
         give a file, a directory of `*.parquet` files or a glob"
    );
    assert!(
        dir.refusal("***").starts_with("DIR/***: expected a glob such as `dir/*.parquet`, found one that is")
    );
}

#[test]
fn a_file_that_is_not_a_whole_parquet_file() {
    let dir = Dir::new();
    fs_err::write(dir.path("empty.parquet"), "").unwrap();
    assert_eq!(
        dir.refusal("empty.parquet"),
        "DIR/empty.parquet: expected a Parquet file, found an empty file; convert it to Parquet first"
    );
    fs_err::write(dir.path("csv.parquet"), "a,b\n1,2\n").unwrap();
    assert_eq!(
        dir.refusal("csv.parquet"),
        "DIR/csv.parquet: expected a Parquet file, found a file that begins with the bytes [61, 2c, 62, 0a]; \
         convert it to Parquet first"
    );
    dir.write("whole.parquet", vec![("activation", lists(&[&[1.0], &[2.0]]))]);
    let whole = fs_err::read(dir.path("whole.parquet")).unwrap();
    for length in [4, 11, whole.len() / 2, whole.len() - 1] {
        fs_err::write(dir.path("cut.parquet"), &whole[..length]).unwrap();
        assert_eq!(
            dir.refusal("cut.parquet"),
            "DIR/cut.parquet: expected Parquet's footer at the end, found none: the file was cut short; \
             write or copy it again"
        );
    }
    let mut hole = whole[..whole.len() / 4].to_vec();
    hole.extend(&whole[whole.len() - 8..]);
    fs_err::write(dir.path("hole.parquet"), hole).unwrap();
    assert!(dir.refusal("hole.parquet").starts_with("DIR/hole.parquet: the footer cannot be read ("));
}

#[test]
fn pages_that_cannot_be_decoded() {
    let dir = Dir::new();
    let rows: Vec<Vec<f32>> = (0..4).map(|i| (0..64).map(|j| (i * j % 7) as f32).collect()).collect();
    let rows: Vec<&[f32]> = rows.iter().map(Vec::as_slice).collect();
    for activation in [lists(&rows), fixed(&rows)] {
        let path = dir.path("a.parquet");
        write(&path, vec![("activation", activation)], Compression::ZSTD(Default::default()));
        let file = SerializedFileReader::new(fs_err::File::open(&path).unwrap().into_file()).unwrap();
        let (start, length) = file.metadata().row_group(1).column(0).byte_range();
        let mut bytes = fs_err::read(&path).unwrap();
        for byte in &mut bytes[start as usize..][..length as usize] {
            *byte ^= 0x55;
        }
        fs_err::write(&path, bytes).unwrap();
        let refusal = dir.refusal("a.parquet");
        assert!(refusal.starts_with("DIR/a.parquet: row group 1 cannot be decoded ("), "{refusal}");
        assert!(refusal.ends_with("); the file is corrupt, write or copy it again"), "{refusal}");
        // What stands before it is given out first, though both are decoded at once.
        let dump = Dump::open(path.to_str().unwrap(), &DumpOptions::default()).unwrap();
        assert_eq!(dump.read(Columns::All).next().unwrap().unwrap().activations, rows[..2].concat());
    }
}

/// Whatever byte is flipped, the answer is rows or an error.
#[test]
fn no_flipped_byte_panics() {
    // Panics inside the decoder are caught by the reader; a backtrace of each would take seconds.
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !panic.location().is_some_and(|location| location.file().contains("/parquet-")) {
            print(panic);
        }
    }));
    let dir = Dir::new();
    let path = dir.path("a.parquet");
    let tokens = DictionaryArray::<Int32Type>::from_iter(["a", "b", "a"]);
    for compression in [Compression::UNCOMPRESSED, Compression::ZSTD(Default::default())] {
        let columns = vec![
            ("activation", fixed(&[&[1.0, 2.0], &[3.0, 4.0], &[5.0, 6.0]])),
            ("token", Arc::new(tokens.clone()) as _),
        ];
        write(&path, columns, compression);
        let sound = fs_err::read(&path).unwrap();
        for i in 0..sound.len() {
            let mut bytes = sound.clone();
            bytes[i] ^= [0x01, 0x80, 0xff][i % 3];
            fs_err::write(&path, bytes).unwrap();
            if let Ok(dump) = Dump::open(path.to_str().unwrap(), &DumpOptions::default()) {
                dump.read(Columns::All).take(100).for_each(drop);
            }
        }
    }
}

#[test]
fn no_column_or_no_single_column_of_activations() {
    let dir = Dir::new();
    dir.write("a.parquet", vec![("id", ints(&[1])), ("gradient", lists(&[&[1.0]]))]);
    assert_eq!(
        dir.refusal("a.parquet"),
        "DIR/a.parquet: expected a column of lists of f16, f32 or f64, \
         found only `id` (Int32), `gradient` (List(Float32)); write each row's activations as one list of floats"
    );
    dir.write("a.parquet", vec![("resid", lists(&[&[1.0]])), ("id", ints(&[1])), ("mlp", lists(&[&[1.0]]))]);
    assert_eq!(
        dir.refusal("a.parquet"),
        "DIR/a.parquet: several columns hold lists of floats: `resid`, `mlp`; name one with --set data.activation_column=NAME"
    );
    let named = |name: &str| {
        let options = DumpOptions { activation_columns: vec![name.into()], ..Default::default() };
        dir.refusal_with("a.parquet", &options, Columns::All)
    };
    assert_eq!(
        named("rseid"),
        "DIR/a.parquet: no column `rseid` (did you mean `resid`?); there are `resid`, `id`, `mlp`"
    );
    assert_eq!(named("zzz"), "DIR/a.parquet: no column `zzz`; there are `resid`, `id`, `mlp`");
    assert_eq!(
        named("id"),
        "DIR/a.parquet: column `id` is Int32, expected lists of f16, f32 or f64; \
         name another with --set data.activation_column=NAME"
    );
}

#[test]
fn a_column_that_is_not_there_is_refused_at_the_first_batch() {
    let dir = Dir::new();
    dir.write("a.parquet", vec![("activation", lists(&[&[1.0]])), ("doc_id", ints(&[1]))]);
    assert_eq!(
        dir.refusal_with("a.parquet", &DumpOptions::default(), Columns::Named(&["docid"])),
        "DIR/a.parquet: no column `docid` (did you mean `doc_id`?); there are `doc_id`"
    );
}

#[test]
fn a_dump_without_rows() {
    let dir = Dir::new();
    let message = "DIR/a.parquet: expected rows, found a dump of none (or none with numbers in `activation`); \
                   check how it was written";
    for activation in [lists(&[&[], &[]]), lists(&[]), fixed(&[&[1.0]]).slice(0, 0)] {
        dir.write("a.parquet", vec![("activation", activation)]);
        assert_eq!(dir.refusal("a.parquet"), message);
    }
}

#[test]
fn files_that_differ() {
    let dir = Dir::new();
    for (first, other) in [
        (lists(&[&[1.0, 2.0]]), lists(&[&[1.0], &[2.0]])),
        (lists(&[&[1.0, 2.0]]), fixed(&[&[1.0]])),
        (fixed(&[&[1.0, 2.0]]), fixed(&[&[1.0]])),
    ] {
        dir.write("0.parquet", vec![("activation", first)]);
        dir.write("1.parquet", vec![("activation", other)]);
        assert_eq!(
            dir.refusal(""),
            "DIR/1.parquet: expected vectors of width 2 in `activation` as in DIR/0.parquet, found width 1; \
             a dump holds the activations of one place in one model"
        );
    }
    let x = || ("activation", lists(&[&[1.0]]));
    let differs = |first: Vec<_>, other: Vec<_>| {
        dir.write("0.parquet", first);
        dir.write("1.parquet", other);
        let refusal = dir.refusal("");
        let refusal =
            refusal.strip_prefix("DIR/1.parquet: expected the columns of DIR/0.parquet, but ").unwrap();
        refusal.strip_suffix("; write all files of a dump alike").unwrap().to_owned()
    };
    let long: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    assert_eq!(
        differs(vec![x(), ("pos", ints(&[1]))], vec![x(), ("pos", long)]),
        "`pos` is Int64, there Int32"
    );
    assert_eq!(differs(vec![x(), ("pos", ints(&[1]))], vec![x(), ("Pos", ints(&[1]))]), "there is no `pos`");
    assert_eq!(differs(vec![x()], vec![x(), ("pos", ints(&[1]))]), "`pos` is one more");
    let double = ListArray::from_iter_primitive::<Float64Type, _, _>([Some(vec![Some(1.0)])]);
    assert_eq!(
        differs(vec![x()], vec![("activation", Arc::new(double))]),
        "`activation` is List(Float64), there List(Float32)"
    );
}

#[test]
fn rows_without_a_usable_activation() {
    let dir = Dir::new();
    let bad = |rows: Vec<Option<Vec<Option<f64>>>>| {
        let activation = ListArray::from_iter_primitive::<Float64Type, _, _>(rows);
        dir.write("a.parquet", vec![("activation", Arc::new(activation))]);
        let refusal = dir.refusal("a.parquet");
        let refusal = refusal
            .strip_prefix("DIR/a.parquet: row group 1, row 1, column `activation`: expected ")
            .unwrap();
        refusal
            .strip_suffix("; mend the dump, or leave such rows out with --set data.skip_bad_rows=true")
            .unwrap()
            .to_owned()
    };
    let good = || Some(vec![Some(1.0), Some(2.0)]);
    let with = |row| vec![good(), good(), good(), row, good()];
    assert_eq!(bad(with(None)), "a vector, found null");
    assert_eq!(bad(with(Some(vec![Some(1.0)]))), "a vector of width 2, found 1");
    assert_eq!(bad(with(Some(vec![Some(1.0), None]))), "numbers, found null as value 1");
    for (value, shown) in
        [(f64::NAN, "NaN"), (f64::INFINITY, "inf"), (f64::NEG_INFINITY, "-inf"), (1e300, "inf")]
    {
        assert_eq!(
            bad(with(Some(vec![Some(value), Some(1.0)]))),
            format!("finite numbers within the range of f32, found {shown} as value 0")
        );
    }
}

#[test]
fn a_null_row_of_fixed_width() {
    let dir = Dir::new();
    let rows = vec![Some(vec![Some(1.0)]), None];
    let activation = FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(rows, 1);
    dir.write("a.parquet", vec![("activation", Arc::new(activation))]);
    assert!(dir.refusal("a.parquet").starts_with(
        "DIR/a.parquet: row group 0, row 1, column `activation`: expected a vector, found null"
    ));
}

fn nested(rows: &[Option<&[&[f32]]>]) -> ArrayRef {
    let mut lists = ListBuilder::new(ListBuilder::new(Float32Builder::new()));
    for row in rows {
        for activation in row.unwrap_or_default() {
            lists.values().values().append_slice(activation);
            lists.values().append(true);
        }
        lists.append(row.is_some());
    }
    Arc::new(lists.finish())
}

#[test]
fn bad_nested_rows() {
    let dir = Dir::new();
    let good: Option<&[&[f32]]> = Some(&[&[1.0, 2.0], &[3.0, 4.0]]);
    dir.write("a.parquet", vec![("activation", nested(&[good, None]))]);
    assert!(dir.refusal("a.parquet").starts_with(
        "DIR/a.parquet: row group 0, row 1, column `activation`: expected a vector, found null"
    ));
    dir.write("a.parquet", vec![("activation", nested(&[good, good, Some(&[&[1.0, 2.0], &[3.0]])]))]);
    assert!(dir.refusal("a.parquet").starts_with(
        "DIR/a.parquet: row group 1, row 0, position 1, column `activation`: expected a vector of width 2, found 1"
    ));
    let ids = ListArray::from_iter_primitive::<Int32Type, _, _>([
        Some(vec![Some(1), Some(2)]),
        Some(vec![Some(1)]),
        Some(vec![Some(3), Some(4)]),
    ]);
    dir.write("a.parquet", vec![("activation", nested(&[good, good, good])), ("token_id", Arc::new(ids))]);
    assert!(dir.refusal("a.parquet").starts_with(
        "DIR/a.parquet: row group 0, row 1, column `token_id`: expected 2 entries, one for each activation of the row, found 1"
    ));
    let options = DumpOptions { skip_bad_rows: true, ..Default::default() };
    let dump = Dump::open(dir.path("a.parquet").to_str().unwrap(), &options).unwrap();
    let mut reader = dump.read(Columns::All);
    let rows: usize = reader.by_ref().map(|batch| batch.unwrap().others.num_rows()).sum();
    assert_eq!((rows, reader.skipped()), (4, 2));
    // What is not read cannot be in the way.
    assert_eq!(
        dump.read(Columns::Activations).map(|batch| batch.unwrap().others.num_rows()).sum::<usize>(),
        6
    );
}

#[test]
fn a_dump_json_that_is_malformed_newer_or_wrong() {
    let dir = Dir::new();
    dir.write("0.parquet", vec![("activation", lists(&[&[1.0], &[2.0]]))]);
    let malformed = "DIR/dump.json: expected a JSON object as in docs/dump.md, found ";
    for json in ["{", "[1]", r#"{"n_rows": "many"}"#, r#"{"model_name": 3}"#] {
        dir.info(json);
        assert!(dir.refusal("").starts_with(malformed), "{json}: {}", dir.refusal(""));
    }
    dir.info(r#"{"format_version": 2, "shards": "elsewhere"}"#);
    assert_eq!(
        dir.refusal(""),
        "DIR/dump.json: expected format_version 1 or lower, found 2; use a newer sae"
    );
    let stale = "; a file is missing or foreign, or dump.json is stale";
    for (json, message) in [
        (r#"{"n_rows": 3}"#, "says n_rows = 3, but the files say 2"),
        (r#"{"d_in": 5}"#, "says d_in = 5, but the files say 1"),
        (
            r#"{"shards": [{"file": "0.parquet", "rows": 1}]}"#,
            "says rows of 0.parquet = 1, but the files say 2",
        ),
    ] {
        dir.info(json);
        assert_eq!(dir.refusal(""), format!("DIR/dump.json: {message}{stale}"));
    }
    // A file of a larger dump is a dump of its own, and unknown keys are no mistake.
    dir.info(r#"{"n_rows": 3, "model_name": "m", "vocab": null, "settings": {"layer": 3}}"#);
    let dump = Dump::open(dir.path("0.parquet").to_str().unwrap(), &DumpOptions::default()).unwrap();
    assert_eq!(dump.info().model_name.as_deref(), Some("m"));
    assert_eq!(dump.info().more["settings"]["layer"], 3);
}

#[test]
fn a_vocabulary_that_is_malformed_or_too_small() {
    let dir = Dir::new();
    dir.write("0.parquet", vec![("activation", lists(&[&[1.0], &[2.0]])), ("token_id", ints(&[0, 7]))]);
    let vocab = |name: &str, text: &[u8]| {
        fs_err::write(dir.path("v.txt"), "").unwrap();
        fs_err::write(dir.path(name), text).unwrap();
        dir.info(&format!(r#"{{"vocab": "{name}"}}"#));
        dir.refusal("")
    };
    assert_eq!(
        vocab("v.txt", b"a\nb\n"),
        "DIR/0.parquet: row group 0, row 1: token_id 7 is not in DIR/v.txt (2 entries); \
         mend the vocabulary file or `vocab` in dump.json"
    );
    assert!(
        vocab("v.json", br#"{"a": 0, "b": 9}"#)
            .contains("row 1: token_id 7 is not in DIR/v.json (10 entries)")
    );
    let bad = |name: &str, text: &[u8]| {
        let refusal = vocab(name, text);
        let (expected, rest) = refusal.split_once("), found ").unwrap();
        assert!(expected.starts_with("DIR/v."), "{refusal}");
        rest.split_once("; mend the file or `vocab` in dump.json").unwrap().0.to_owned()
    };
    assert!(bad("v.txt", b"\xff").starts_with("invalid utf-8"));
    assert!(bad("v.json", b"[").starts_with("EOF while parsing"));
    assert_eq!(bad("v.json", b"3"), "3");
    assert_eq!(bad("v.json", br#"["a", 1]"#), "the entry 1");
    assert_eq!(bad("v.json", br#"{"a": -1}"#), "the id -1 for `a`");
    assert_eq!(bad("v.json", br#"{"a": 1, "b": 1}"#), "the id 1 twice, once for `a`");
    dir.info(r#"{"vocab": "../v.txt"}"#);
    assert!(
        dir.refusal("")
            .contains("expected a vocabulary (the name of a file beside dump.json), found `../v.txt`")
    );
    dir.info(r#"{"vocab": "absent.txt"}"#);
    assert!(dir.refusal("").contains("DIR/absent.txt"));
}

#[test]
fn what_cannot_be_written() {
    let dir = Dir::new();
    let create = |name: &str, d_in, dtype| {
        let options = DumpWriterOptions { dtype, ..Default::default() };
        DumpWriter::create(&dir.path(name), d_in, options, DumpInfo::default())
    };
    fs_err::create_dir(dir.path("there")).unwrap();
    assert_eq!(
        dir.message(create("there", 2, Dtype::F16)),
        "DIR/there: expected to create this directory, found something there; remove it or choose another name"
    );
    assert_eq!(
        dir.message(create("new", 0, Dtype::F16)),
        "DIR/new: expected a width from 1 to 2147483647, found 0"
    );
    let writer = || create("new", 2, Dtype::F16).unwrap();
    let message =
        |activations: &[f32], others: Option<&RecordBatch>| dir.message(writer().write(activations, others));
    assert_eq!(message(&[1.0], None), "DIR/new: expected rows of 2 values, found 1 values");
    assert_eq!(
        message(&[1.0, 2.0, 3.0, f32::NAN], None),
        "DIR/new: expected finite numbers, found NaN as value 1 of row 1 of a batch"
    );
    assert_eq!(
        message(&[1.0, 1e5], None),
        "DIR/new: expected numbers within the range of f16 (up to 65504; f32 holds more), \
         found 100000 as value 1 of row 0 of a batch"
    );
    let others = |name: &str| RecordBatch::try_from_iter([(name, ints(&[1]))]).unwrap();
    assert_eq!(
        message(&[1.0, 2.0, 3.0, 4.0], Some(&others("pos"))),
        "DIR/new: expected 2 rows in the other columns, found 1"
    );
    assert_eq!(
        message(&[1.0, 2.0], Some(&others("activation"))),
        "DIR/new: expected no `activation` among the other columns, found one"
    );
    let mut changing = writer();
    changing.write(&[1.0, 2.0], Some(&others("pos"))).unwrap();
    let refusal = dir.message(changing.write(&[1.0, 2.0], Some(&others("doc_id"))));
    assert!(refusal.starts_with("DIR/new: expected the columns of the first rows, "), "{refusal}");
    drop(changing);
    assert_eq!(dir.message(writer().finish()), "DIR/new: expected rows to write, found none");
    let mut late = writer();
    late.write(&[1.0, 2.0], None).unwrap();
    fs_err::create_dir(dir.path("new")).unwrap();
    assert!(matches!(late.finish(), Err(Error::Dump(DumpError::Exists { .. }))));
    let left: Vec<_> =
        fs_err::read_dir(dir.path("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "what was not finished is gone: {left:?}");
}
