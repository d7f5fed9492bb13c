//! Dumps with more than one vector a row: several columns of activations, and a companion.
#![allow(clippy::unwrap_used)]

use arrow::{
    array::*,
    datatypes::{Float16Type, Float32Type, Float64Type},
};
use half::f16;
use parquet::{
    arrow::ArrowWriter,
    basic::Compression,
    file::{
        properties::WriterProperties,
        reader::{FileReader, SerializedFileReader},
    },
};
use proptest::prelude::*;
use sae_core::{
    Error,
    dump::{Columns, Dump, DumpError, DumpOptions},
};
use std::{path::Path, sync::Arc};

/// Writes a file in row groups of `rows` rows.
fn write(path: &Path, columns: Vec<(&str, ArrayRef)>, rows: usize) {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(rows))
        .set_compression(Compression::ZSTD(Default::default()))
        .build();
    let file = fs_err::File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

/// A vector, in which a value may be null; or null.
type Vector = Option<Vec<Option<f32>>>;

fn lists(rows: &[Vector]) -> ArrayRef {
    Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>(rows.iter().cloned()))
}

/// Vectors without a flaw, row by row.
fn sound(rows: &[&[f32]]) -> ArrayRef {
    lists(&rows.iter().map(|row| Some(row.iter().copied().map(Some).collect())).collect::<Vec<_>>())
}

/// `[rows][ctx][d]`
fn nested(rows: &[Vec<Vector>]) -> ArrayRef {
    let mut lists = ListBuilder::new(ListBuilder::new(Float32Builder::new()));
    for row in rows {
        for vector in row {
            for value in vector.iter().flatten() {
                lists.values().values().append_option(*value);
            }
            lists.values().append(vector.is_some());
        }
        lists.append(true);
    }
    Arc::new(lists.finish())
}

fn options(activations: &[&str], companion: Option<&str>) -> DumpOptions {
    DumpOptions {
        activation_columns: activations.iter().map(ToString::to_string).collect(),
        companion: companion.map(str::to_owned),
        skip_bad_rows: false,
    }
}

fn open(path: &Path, options: &DumpOptions) -> Dump {
    Dump::open(path.to_str().unwrap(), options).unwrap()
}

/// Activations, companions, rows left out.
fn read(dump: &Dump) -> sae_core::Result<(Vec<f32>, Vec<f32>, u64)> {
    let mut reader = dump.read(Columns::All);
    let (mut activations, mut companion) = (Vec::new(), Vec::new());
    for batch in &mut reader {
        let batch = batch?;
        assert_eq!(batch.activations.len(), batch.others.num_rows() * dump.d_in());
        assert_eq!(batch.companion.len(), batch.others.num_rows() * dump.d_companion());
        activations.extend(batch.activations);
        companion.extend(batch.companion);
    }
    Ok((activations, companion, reader.skipped()))
}

/// The message with which a dump is refused, its directory written `DIR`.
fn refusal(path: &Path, options: &DumpOptions) -> String {
    let opened = Dump::open(path.to_str().unwrap(), options);
    let refused = opened.and_then(|dump| read(&dump)).unwrap_err().to_string();
    let dir = if path.is_dir() { path } else { path.parent().unwrap() };
    refused.replace(dir.to_str().unwrap(), "DIR")
}

#[test]
fn columns_are_put_side_by_side_in_the_order_given() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.parquet");
    let half = |rows: [[f32; 2]; 3]| rows.map(|row| Some(row.map(|value| Some(f16::from_f32(value)))));
    let early = FixedSizeListArray::from_iter_primitive::<Float16Type, _, _>(
        half([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]),
        2,
    );
    let late = LargeListArray::from_iter_primitive::<Float64Type, _, _>(
        [-1.0, -2.0, -3.0].map(|value| Some([Some(value)])),
    );
    let gradient = sound(&[&[0.1, 0.2, 0.3], &[0.4, 0.5, 0.6], &[0.7, 0.8, 0.9]]);
    let ids: ArrayRef = Arc::new(Int32Array::from(vec![7, 8, 9]));
    let columns = vec![
        ("early", Arc::new(early) as ArrayRef),
        ("id", ids),
        ("gradient", gradient),
        ("late", Arc::new(late)),
    ];
    write(&path, columns, 2);

    let dump = open(&path, &options(&["late", "early"], Some("gradient")));
    assert_eq!((dump.d_in(), dump.widths(), dump.d_companion()), (3, vec![1, 2], 3));
    assert_eq!((dump.activation_column(), dump.companion_column()), ("late + early", Some("gradient")));
    assert_eq!(dump.activation_columns(), ["late", "early"]);
    let others: Vec<_> = dump.other_columns().fields().iter().map(|field| field.name().as_str()).collect();
    assert_eq!(others, ["id"]);
    let (activations, companion, _) = read(&dump).unwrap();
    assert_eq!(activations, [-1.0, 1.0, 2.0, -2.0, 3.0, 4.0, -3.0, 5.0, 6.0]);
    assert_eq!(companion, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]);

    // Unasked, a gradient is one of the others and not among the vectors.
    let dump = open(&path, &options(&["early"], None));
    assert_eq!((dump.d_in(), dump.d_companion(), dump.companion_column()), (2, 0, None));
    assert!(dump.other_columns().field_with_name("gradient").is_ok());
    assert!(read(&dump).unwrap().1.is_empty());
}

#[test]
fn a_column_may_be_its_own_companion() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.parquet");
    write(&path, vec![("activation", sound(&[&[1.0, 2.0], &[3.0, 4.0]]))], 10);
    let (activations, companion, _) = read(&open(&path, &options(&[], Some("activation")))).unwrap();
    assert_eq!(activations, companion);
}

#[test]
fn only_what_is_needed_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.parquet");
    let x: Vec<f32> = (0..64).map(|i| (i * i % 7) as f32).collect();
    write(&path, vec![("activation", sound(&[&x])), ("gradient", sound(&[&x])), ("other", sound(&[&x]))], 10);
    let file = SerializedFileReader::new(fs_err::File::open(&path).unwrap().into_file()).unwrap();
    let (start, length) = file.metadata().row_group(0).column(2).byte_range();
    let mut bytes = fs_err::read(&path).unwrap();
    bytes[start as usize..][..length as usize].fill(0x55);
    fs_err::write(&path, bytes).unwrap();
    let dump = open(&path, &options(&["activation"], Some("gradient")));
    let batch = dump.read(Columns::Activations).next().unwrap().unwrap();
    assert_eq!((batch.activations, batch.companion), (x.clone(), x));
    let refused = refusal(&path, &options(&["activation"], Some("other")));
    assert!(refused.starts_with("DIR/a.parquet: row group 0 cannot be decoded"), "{refused}");
}

#[test]
fn a_companion_that_is_not_there_or_holds_no_vectors() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.parquet");
    let ids: ArrayRef = Arc::new(Int32Array::from(vec![7, 8]));
    let columns = vec![
        ("activation", sound(&[&[1.0, 2.0], &[3.0, 4.0]])),
        ("ragged", sound(&[&[1.0, 2.0], &[3.0]])),
        ("id", ids),
    ];
    write(&path, columns, 10);
    let with = |companion| refusal(dir.path(), &options(&["activation"], Some(companion)));
    assert_eq!(
        with("gradient"),
        "DIR: column `gradient` is not there; the float lists it has are `activation` (2), `ragged`; \
         write the dump with it, or name another"
    );
    assert_eq!(
        with("id"),
        "DIR: column `id` is Int32, expected lists of f16, f32 or f64; the float lists it has are \
         `activation` (2), `ragged`; write the dump with it, or name another"
    );
    let mut opened = Dump::open(path.to_str().unwrap(), &options(&["activation"], Some("gradient")));
    if let Err(Error::Dump(DumpError::NoCompanion { advice, .. })) = &mut opened {
        *advice = "ask Ann".into();
    }
    assert!(opened.unwrap_err().to_string().ends_with("`ragged`; ask Ann"));
    assert_eq!(
        refusal(&path, &options(&["activation", "ragged", "activation"], None)),
        "DIR/a.parquet: column `activation` is named twice for the activations; name each once"
    );
    assert_eq!(
        refusal(&path, &options(&["activation", "regged"], None)),
        "DIR/a.parquet: no column `regged` (did you mean `ragged`?); there are `activation`, `ragged`, `id`"
    );
    let refused = refusal(&path, &options(&["activation", "id"], None));
    assert!(refused.starts_with("DIR/a.parquet: column `id` is Int32, expected lists of f16"), "{refused}");
    write(&path, vec![("activation", sound(&[&[1.0]])), ("gradient", lists(&[None]))], 10);
    assert_eq!(
        with("gradient"),
        "DIR: expected rows, found a dump of none (or none with numbers in `activation`, `gradient`); \
         check how it was written"
    );
}

#[test]
fn each_column_is_checked_and_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.parquet");
    let good = Some(vec![Some(1.0), Some(2.0)]);
    for (bad, flaw) in [
        (None, "expected a vector, found null"),
        (Some(vec![Some(1.0)]), "expected a vector of width 2, found 1"),
        (Some(vec![None, Some(1.0)]), "expected numbers, found null as value 0"),
        (
            Some(vec![Some(1.0), Some(f32::NAN)]),
            "expected finite numbers within the range of f32, found NaN as value 1",
        ),
        (
            Some(vec![Some(f32::INFINITY), Some(1.0)]),
            "expected finite numbers within the range of f32, found inf as value 0",
        ),
    ] {
        for which in ["a", "b", "companion"] {
            let column = |name| {
                let row = if name == which { bad.clone() } else { good.clone() };
                (name, lists(&[good.clone(), good.clone(), good.clone(), row]))
            };
            write(&path, ["companion", "b", "a"].map(column).to_vec(), 3);
            let mut options = options(&["a", "b"], Some("companion"));
            assert_eq!(
                refusal(&path, &options),
                format!(
                    "DIR/a.parquet: row group 1, row 0, column `{which}`: {flaw}; \
                     mend the dump, or leave such rows out with --set data.skip_bad_rows=true"
                )
            );
            options.skip_bad_rows = true;
            let (activations, companion, skipped) = read(&open(&path, &options)).unwrap();
            assert_eq!((activations.len(), companion.len(), skipped), (12, 6, 1));
        }
    }
}

#[test]
fn files_are_held_to_the_widths_of_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let one: &[f32] = &[1.0];
    write(&dir.path().join("0.parquet"), vec![("a", sound(&[one])), ("gradient", sound(&[one]))], 10);
    write(&dir.path().join("1.parquet"), vec![("a", sound(&[one])), ("gradient", sound(&[&[1.0, 2.0]]))], 10);
    assert_eq!(
        refusal(dir.path(), &options(&["a"], Some("gradient"))),
        "DIR/1.parquet: expected vectors of width 1 in `gradient` as in DIR/0.parquet, found width 2; \
         a dump holds the activations of one place in one model"
    );
    open(dir.path(), &options(&["a"], None));
}

#[test]
fn dump_json_tells_the_width_of_one_column() {
    let dir = tempfile::tempdir().unwrap();
    let columns = vec![("a", sound(&[&[1.0, 2.0]])), ("b", sound(&[&[1.0]]))];
    write(&dir.path().join("0.parquet"), columns, 10);
    fs_err::write(dir.path().join("dump.json"), r#"{"d_in": 2}"#).unwrap();
    assert_eq!(open(dir.path(), &options(&["a", "b"], None)).d_in(), 3);
    assert_eq!(open(dir.path(), &options(&["a"], Some("b"))).d_in(), 2);
    assert!(refusal(dir.path(), &options(&["b"], None)).contains("says d_in = 2, but the files say 1"));
}

#[test]
fn nested_columns_are_flattened_alike() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.parquet");
    let v = |value: f32| Some(vec![Some(value)]);
    let activation = nested(&[vec![v(1.0), v(2.0)], vec![v(3.0)]]);
    let gradient = |second: Vec<Vector>| nested(&[vec![v(-1.0), v(-2.0)], second]);
    write(&path, vec![("activation", activation.clone()), ("gradient", gradient(vec![v(-3.0)]))], 10);
    let mut options = options(&[], Some("gradient"));
    let found = read(&open(&path, &options)).unwrap();
    assert_eq!(found, (vec![1.0, 2.0, 3.0], vec![-1.0, -2.0, -3.0], 0));

    let long = gradient(vec![v(-3.0), v(-4.0)]);
    write(&path, vec![("activation", activation.clone()), ("gradient", long)], 10);
    assert_eq!(
        refusal(&path, &options),
        "DIR/a.parquet: row group 0, row 1, column `gradient`: expected 1 entries, one for each activation \
         of the row, found 2; mend the dump, or leave such rows out with --set data.skip_bad_rows=true"
    );
    options.skip_bad_rows = true;
    assert_eq!(read(&open(&path, &options)).unwrap(), (vec![1.0, 2.0], vec![-1.0, -2.0], 1));

    options.skip_bad_rows = false;
    let nan = gradient(vec![v(f32::NAN)]);
    write(&path, vec![("activation", activation.clone()), ("gradient", nan)], 10);
    assert!(refusal(&path, &options).contains("row 1, position 0, column `gradient`: expected finite"));

    write(&path, vec![("activation", activation), ("gradient", sound(&[&[1.0], &[2.0]]))], 10);
    assert_eq!(
        refusal(&path, &options),
        "DIR/a.parquet: column `gradient` holds one vector a row, `activation` a list of vectors; \
         write both alike"
    );
}

/// Mostly sound vectors of a width.
fn vector(width: usize) -> impl Strategy<Value = Vector> {
    let values = || prop::collection::vec(-100i16..100, width);
    let sound = values().prop_map(|values| Some(values.into_iter().map(|v| Some(f32::from(v))).collect()));
    let flawed = (values(), 0..width).prop_map(|(values, i)| {
        let mut vector: Vec<_> = values.into_iter().map(|v| Some(f32::from(v))).collect();
        vector[i] = None;
        Some(vector)
    });
    prop_oneof![8 => sound, 1 => flawed, 1 => Just(None), 1 => Just(Some(vec![Some(f32::NAN); width]))]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// However rows lie in row groups, contexts and columns, each is given whole or not at all.
    #[test]
    fn rows_stay_together(
        rows in prop::collection::vec((vector(2), vector(1), vector(3)), 1..60),
        ctx in 0usize..5,
        group in 1usize..20,
    ) {
        let finite = |vector: &Vector| -> Option<Vec<f32>> {
            let values: Option<Vec<f32>> = vector.clone()?.into_iter().collect();
            values.filter(|values| values.iter().all(|value| value.is_finite()))
        };
        let (mut activations, mut companions, mut bad) = (Vec::new(), Vec::new(), 0);
        for (a, b, companion) in &rows {
            match (finite(a), finite(b), finite(companion)) {
                (Some(a), Some(b), Some(companion)) => {
                    activations.extend(b.into_iter().chain(a));
                    companions.extend(companion);
                }
                _ => bad += 1,
            }
        }
        prop_assume!(!activations.is_empty());
        let column = |of: fn(&(Vector, Vector, Vector)) -> &Vector| {
            let vectors: Vec<Vector> = rows.iter().map(|row| of(row).clone()).collect();
            match ctx {
                0 => lists(&vectors),
                _ => nested(&vectors.chunks(ctx).map(<[Vector]>::to_vec).collect::<Vec<_>>()),
            }
        };
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.parquet");
        write(&path, vec![("a", column(|row| &row.0)), ("b", column(|row| &row.1)), ("c", column(|row| &row.2))], group);
        let options = DumpOptions { skip_bad_rows: true, ..options(&["b", "a"], Some("c")) };
        // The width of a column of lists is that of the first: the first context must be sound.
        let Ok(dump) = Dump::open(path.to_str().unwrap(), &options) else { return Ok(()) };
        prop_assume!(dump.widths() == [1, 2] && dump.d_companion() == 3);
        prop_assert_eq!(read(&dump).unwrap(), (activations, companions, bad));
    }
}
