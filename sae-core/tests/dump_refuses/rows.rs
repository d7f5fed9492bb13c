//! Columns and rows that are not vectors of one width.

use super::*;

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
