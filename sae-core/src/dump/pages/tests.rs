//! Pages that this library's writer does not make: cut anywhere, and with levels packed into bits.

use super::*;
use crate::dump::row_group::tests::compare;
use parquet::{
    basic::Compression,
    column::{
        page::{CompressedPage, PageWriter},
        writer::ColumnCloseResult,
    },
    file::{
        metadata::ColumnChunkMetaData,
        properties::WriterProperties,
        writer::{SerializedFileWriter, SerializedPageWriter, TrackedWrite},
    },
    schema::{parser::parse_message_type, types::SchemaDescriptor},
};
use proptest::prelude::*;
use std::path::Path;

/// Numbers of `bits` bits in one packed run, behind its length.
fn packed(numbers: impl Iterator<Item = u8>, bits: usize) -> Vec<u8> {
    let numbers: Vec<u8> = numbers.collect();
    let groups = numbers.len().div_ceil(8);
    let mut run = Vec::new();
    let mut head = groups << 1 | 1;
    while head > 0x7f {
        run.push(head as u8 | 0x80);
        head >>= 7;
    }
    run.push(head as u8);
    let start = run.len();
    run.resize(start + groups * bits, 0);
    for (i, number) in numbers.iter().enumerate() {
        for bit in (0..bits).filter(|bit| number >> bit & 1 == 1) {
            let at = i * bits + bit;
            run[start + at / 8] |= 1 << (at % 8);
        }
    }
    [&(run.len() as u32).to_le_bytes()[..], &run].concat()
}

/// A file of rows of so many numbers each, in pages of so many numbers each.
fn write(path: &Path, rows: &[usize], pages: &[usize]) -> ParquetFile {
    let levels: Vec<u8> = rows.iter().flat_map(|width| (0..*width).map(|i| u8::from(i > 0))).collect();
    let schema = "message m { optional group x (LIST) { repeated group list { optional float item; } } }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let leaf = SchemaDescriptor::new(schema.clone()).column(0);
    let mut chunk = TrackedWrite::new(Vec::new());
    let mut first = 0;
    for n in pages {
        let values = first..first + n;
        let repetition = packed(values.clone().map(|i| levels[i]), 1);
        let definition = packed(values.clone().map(|_| 3), 2);
        let floats: Vec<u8> = values.flat_map(|i| (i as f32 + 0.5).to_le_bytes()).collect();
        let bytes = [repetition, definition, floats].concat();
        let length = bytes.len();
        let page = Page::DataPage {
            buf: bytes.into(),
            num_values: *n as u32,
            encoding: Encoding::PLAIN,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        SerializedPageWriter::new(&mut chunk).write_page(CompressedPage::new(page, length)).unwrap();
        first += n;
    }
    let chunk = chunk.into_inner().unwrap();
    let length = chunk.len();
    let metadata = ColumnChunkMetaData::builder(leaf)
        .set_compression(Compression::UNCOMPRESSED)
        .set_encodings(vec![Encoding::PLAIN, Encoding::RLE])
        .set_num_values(first as i64)
        .set_total_compressed_size(length as i64)
        .set_total_uncompressed_size(length as i64)
        .set_data_page_offset(0)
        .build()
        .unwrap();
    let copied = path.with_extension("chunk");
    fs_err::write(&copied, chunk).unwrap();
    let closed = ColumnCloseResult {
        bytes_written: length as u64,
        rows_written: rows.len() as u64,
        metadata,
        bloom_filter: None,
        column_index: None,
        offset_index: None,
    };
    let file = fs_err::File::create(path).unwrap();
    let mut writer = SerializedFileWriter::new(file, schema, Arc::new(WriterProperties::default())).unwrap();
    let mut group = writer.next_row_group().unwrap();
    group.append_column(fs_err::File::open(&copied).unwrap().file(), closed).unwrap();
    group.close().unwrap();
    writer.close().unwrap();
    ParquetFile::open(path.to_owned()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..Default::default() })]

    #[test]
    fn pages_may_end_within_rows(
        (width, rows) in (1usize..20, 1usize..30),
        pages in prop::collection::vec(1usize..50, 1..10),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let n: usize = pages.iter().sum();
        let rest = n.next_multiple_of(width) - n;
        let pages: Vec<usize> = pages.into_iter().chain((rest > 0).then_some(rest)).collect();
        let file = write(&dir.path().join("a.parquet"), &vec![width; (n + rest) / width], &pages);
        prop_assert_eq!(compare(&file, width, rows), 1);
    }
}

/// The first page looks as if its rows were whole.
#[test]
fn a_row_that_goes_on_in_the_next_page_is_seen_before_it_is_given_out() {
    let dir = tempfile::tempdir().unwrap();
    let file = write(&dir.path().join("a.parquet"), &[3, 5, 1, 3], &[6, 6]);
    assert_eq!(compare(&file, 3, 2), 0);
}
