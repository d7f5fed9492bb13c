//! Pages give what Arrow's decoder gives, and are what is read wherever rows are whole.

use super::*;
use crate::dump::{
    BATCH_ROWS, Dtype, Dump, DumpInfo, DumpOptions, DumpWriter, DumpWriterOptions, lists::Lists,
};
use arrow::{
    array::{
        Array, ArrayRef, AsArray, FixedSizeListArray, Float16Array, Float32Array, Float64Array, Int32Array,
        LargeListArray, ListArray,
    },
    buffer::{NullBuffer, OffsetBuffer},
    datatypes::{DataType, Field, Float16Type, Float32Type, Float64Type},
};
use half::f16;
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, Encoding},
    file::properties::{WriterProperties, WriterVersion},
};
use proptest::prelude::*;
use std::path::Path;

/// A row: null, or values of which some may be null.
type Row = Option<Vec<Option<f64>>>;

#[derive(Debug, Clone, Copy)]
enum Kind {
    List,
    Large,
    Fixed(usize),
}

/// Rows as a column of lists, and whether a list or a value of it may be null by its type.
fn column(rows: &[Row], kind: Kind, float: &DataType, nullable: bool) -> (Field, ArrayRef) {
    let missing = vec![None; if let Kind::Fixed(width) = kind { width } else { 0 }];
    let lists: Vec<_> = rows.iter().map(|row| row.as_ref().unwrap_or(&missing)).collect();
    let flat = || lists.iter().copied().flatten().copied();
    let values: ArrayRef = match float {
        DataType::Float16 => Arc::new(flat().map(|v| v.map(f16::from_f64)).collect::<Float16Array>()),
        DataType::Float32 => Arc::new(flat().map(|v| v.map(|v| v as f32)).collect::<Float32Array>()),
        _ => Arc::new(flat().collect::<Float64Array>()),
    };
    let nulls = nullable.then(|| NullBuffer::from_iter(rows.iter().map(Option::is_some)));
    let item = Arc::new(Field::new("item", float.clone(), nullable));
    let lengths = lists.iter().map(|list| list.len());
    let lists: ArrayRef = match kind {
        Kind::List => Arc::new(ListArray::new(item, OffsetBuffer::from_lengths(lengths), values, nulls)),
        Kind::Large => {
            Arc::new(LargeListArray::new(item, OffsetBuffer::from_lengths(lengths), values, nulls))
        }
        Kind::Fixed(width) => Arc::new(FixedSizeListArray::new(item, width as i32, values, nulls)),
    };
    (Field::new("x", lists.data_type().clone(), nullable), lists)
}

fn write(path: &Path, (field, lists): (Field, ArrayRef), properties: WriterProperties) -> ParquetFile {
    let ids: ArrayRef = Arc::new(Int32Array::from_iter_values(0..lists.len() as i32));
    let fields = vec![field, Field::new("id", DataType::Int32, true)];
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), vec![lists, ids]).unwrap();
    let file = fs_err::File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    ParquetFile::open(path.to_owned()).unwrap()
}

/// Of rows, the bits of each value.
type Bits = Vec<Option<Vec<Option<u64>>>>;

/// What reading gives: of each batch the bits of `x` and the other column, then perhaps an error.
#[derive(Debug, Default, PartialEq)]
struct Read {
    batches: Vec<(Bits, Option<ArrayRef>)>,
    error: Option<String>,
}

/// Reads all row groups, and tells of how many the vectors came from pages to the end.
fn read(file: &ParquetFile, vectors: &[Vectors], rows: usize) -> (Read, usize) {
    let (mut read, mut from_pages) = (Read::default(), 0);
    for number in 0..file.row_groups().len() {
        let columns = ["x".to_owned(), "id".to_owned()];
        let result = RowGroup::read(file, number, &columns, vectors, rows).and_then(|mut group| {
            for batch in &mut group {
                let batch = batch?;
                let lists = Lists::of(batch.column_by_name("x").unwrap()).unwrap();
                read.batches.push((bits(lists, batch.num_rows()), batch.column_by_name("id").cloned()));
                // A damaged footer may tell of more rows than there is memory for.
                if read.batches.len() > 1000 {
                    break;
                }
            }
            from_pages += usize::from(!group.pages.is_empty());
            Ok(())
        });
        if let Err(error) = result {
            read.error = Some(error.to_string());
            break;
        }
    }
    (read, from_pages)
}

fn bits(lists: Lists<'_>, n_rows: usize) -> Bits {
    let values = lists.values();
    let value = |i: usize| {
        (!values.is_null(i)).then(|| match values.data_type() {
            DataType::Float16 => values.as_primitive::<Float16Type>().value(i).to_bits().into(),
            DataType::Float32 => values.as_primitive::<Float32Type>().value(i).to_bits().into(),
            _ => values.as_primitive::<Float64Type>().value(i).to_bits(),
        })
    };
    (0..n_rows).map(|row| (!lists.is_null(row)).then(|| lists.range(row).map(value).collect())).collect()
}

/// Holds what pages give to what Arrow gives, and tells of how many row groups they gave it.
pub(in crate::dump) fn compare(file: &ParquetFile, width: usize, rows: usize) -> usize {
    let vectors = [Vectors { column: "x".to_owned(), width }];
    let ((expected, none), (found, from_pages)) = (read(file, &[], rows), read(file, &vectors, rows));
    assert_eq!(none, 0);
    assert_eq!(found.error, expected.error);
    // Arrow looks at pages to come before it gives a batch, so that its error may come earlier.
    assert!(found.batches.starts_with(&expected.batches), "found {found:?}\nexpected {expected:?}");
    assert!(found.error.is_some() || found == expected, "found {found:?}\nexpected {expected:?}");
    from_pages
}

fn properties() -> impl Strategy<Value = WriterProperties> {
    let compression = prop_oneof![
        Just(Compression::UNCOMPRESSED),
        Just(Compression::SNAPPY),
        Just(Compression::ZSTD(Default::default())),
    ];
    // A dictionary comes first and is followed by such values where it grows beyond a limit.
    let encoding = (any::<bool>(), prop_oneof![Just(Encoding::PLAIN), Just(Encoding::BYTE_STREAM_SPLIT)]);
    (compression, encoding, any::<bool>(), 1usize..40, 1usize..60, 1usize..20, 1usize..2000).prop_map(
        |(compression, (dictionary, encoding), second, group, page, batch, limit)| {
            WriterProperties::builder()
                .set_compression(compression)
                .set_writer_version(if second {
                    WriterVersion::PARQUET_2_0
                } else {
                    WriterVersion::PARQUET_1_0
                })
                .set_max_row_group_row_count(Some(group))
                .set_data_page_row_count_limit(page)
                .set_write_batch_size(batch)
                .set_dictionary_enabled(dictionary)
                .set_dictionary_page_size_limit(limit)
                .set_encoding(encoding)
                .build()
        },
    )
}

fn float() -> impl Strategy<Value = DataType> {
    prop_oneof![Just(DataType::Float16), Just(DataType::Float32), Just(DataType::Float64)]
}

fn kind(width: usize) -> impl Strategy<Value = Kind> {
    prop_oneof![Just(Kind::List), Just(Kind::Large), Just(Kind::Fixed(width))]
}

fn whole(n: usize, width: usize, distinct: usize) -> Vec<Row> {
    let value = |i: usize| Some(if i % 97 == 96 { f64::NAN } else { (i * 7919 % distinct) as f64 / 8.0 });
    (0..n).map(|row| Some((0..width).map(|i| value(row * width + i)).collect())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..Default::default() })]

    #[test]
    fn whole_rows_come_from_pages(
        (width, kind) in (1usize..30).prop_flat_map(|width| (Just(width), kind(width))),
        (n, distinct, rows) in (1usize..100, 1usize..3000, 1usize..50),
        (float, nullable, properties) in (float(), any::<bool>(), properties()),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let column = column(&whole(n, width, distinct), kind, &float, nullable);
        let file = write(&dir.path().join("a.parquet"), column, properties);
        prop_assert_eq!(compare(&file, width, rows), file.row_groups().len());
    }

    #[test]
    fn flawed_rows_are_told_as_arrow_tells_them(
        (width, kind) in (1usize..6).prop_flat_map(|width| (Just(width), kind(width))),
        flaws in prop::collection::vec((0usize..60, 0usize..4), 1..4),
        (rows, float, properties) in (1usize..20, float(), properties()),
    ) {
        let mut flawed = whole(60, width, 50);
        for (row, flaw) in flaws {
            flawed[row] = match (flaw, kind) {
                (0, _) => None,
                (1, _) | (_, Kind::Fixed(_)) => Some(vec![None; width]),
                (2, _) => Some(vec![Some(1.0); width + 1]),
                _ => Some(Vec::new()),
            };
        }
        let dir = tempfile::tempdir().unwrap();
        let file = write(&dir.path().join("a.parquet"), column(&flawed, kind, &float, true), properties);
        prop_assert!(compare(&file, width, rows) < file.row_groups().len());
    }
}

/// Shorter and longer rows that together have as many values as the footer should tell.
#[test]
fn rows_of_other_widths_that_make_up_for_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let mut rows = whole(60, 4, 50);
    rows[20] = Some(vec![Some(1.0); 3]);
    rows[21] = Some(vec![Some(1.0); 5]);
    for kind in [Kind::List, Kind::Large] {
        let column = column(&rows, kind, &DataType::Float32, false);
        let file = write(&dir.path().join("a.parquet"), column, WriterProperties::default());
        assert_eq!(file.leaf_values("x"), [240]);
        assert_eq!(compare(&file, 4, 7), 0);
    }
}

/// Whatever byte of the file is damaged: the same rows, the same error.
#[test]
fn damage_is_told_as_arrow_tells_it() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !panic.location().is_some_and(|location| location.file().contains("/parquet-")) {
            print(panic);
        }
    }));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.parquet");
    for (version, dictionary, encoding) in [
        (WriterVersion::PARQUET_2_0, true, Encoding::PLAIN),
        (WriterVersion::PARQUET_1_0, false, Encoding::PLAIN),
        (WriterVersion::PARQUET_2_0, false, Encoding::BYTE_STREAM_SPLIT),
    ] {
        let properties = WriterProperties::builder()
            .set_writer_version(version)
            .set_data_page_row_count_limit(2)
            .set_write_batch_size(2)
            .set_dictionary_enabled(dictionary)
            .set_encoding(encoding)
            .build();
        let file = write(&path, column(&whole(5, 3, 9), Kind::List, &DataType::Float32, true), properties);
        assert_eq!(compare(&file, 3, 2), 1);
        let sound = fs_err::read(&path).unwrap();
        for i in 0..sound.len() {
            let mut bytes = sound.clone();
            bytes[i] ^= if i % 3 == 0 { 0xff } else { 1 << (i % 8) };
            fs_err::write(&path, bytes).unwrap();
            if let Ok(file) = ParquetFile::open(path.clone()) {
                compare(&file, 3, 2);
            }
        }
    }
}

/// Of how many row groups of a dump the activations come from pages.
fn from_pages(dump: &Dump) -> (usize, usize) {
    let vectors: Vec<Vectors> = dump.layout().vectors().cloned().collect();
    let columns = [vectors[0].column.clone()];
    let (mut n, mut all) = (0, 0);
    for file in dump.parquet() {
        for number in 0..file.row_groups().len() {
            let mut group = RowGroup::read(file, number, &columns, &vectors, BATCH_ROWS).unwrap();
            group.by_ref().for_each(|batch| drop(batch.unwrap()));
            n += usize::from(!group.pages.is_empty());
            all += 1;
        }
    }
    (n, all)
}

#[test]
fn dumps_of_our_own_come_from_pages() {
    let dir = tempfile::tempdir().unwrap();
    let x: Vec<f32> = (0..20_000 * 24).map(|i| (i % 1000) as f32).collect();
    for (dtype, compress) in
        [(Dtype::F16, false), (Dtype::F16, true), (Dtype::F32, false), (Dtype::F32, true)]
    {
        let path = dir.path().join(format!("{dtype:?} {compress}"));
        let options = DumpWriterOptions { dtype, compress, rows_per_file: 12_000 };
        let mut writer = DumpWriter::create(&path, 24, options, DumpInfo::default()).unwrap();
        writer.write(&x, None).unwrap();
        writer.finish().unwrap();
        let dump = Dump::open(path.to_str().unwrap(), &DumpOptions::default()).unwrap();
        assert_eq!(from_pages(&dump), (2, 2));
    }
}

#[test]
fn the_sample_of_another_writer_comes_from_pages() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/sample/dump");
    let dump = Dump::open(path.to_str().unwrap(), &DumpOptions::default()).unwrap();
    let (n, all) = from_pages(&dump);
    assert!(n > 0 && n == all, "{n} of {all}");
}
