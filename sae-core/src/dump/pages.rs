//! The vectors of a column chunk, read page by page without Arrow's decoder.
//!
//! That decoder takes most of its time to turn levels, value by value, into offsets and nulls. Where
//! every row has a vector of one width and nothing is null, the levels are two or three runs a row that
//! need only be looked at, and the values are the bytes of the page. Parquet's reader still finds and
//! decompresses the pages. Whatever is not so plain is an error here, and left to Arrow: its decoder has
//! the last word on what is in a file.

use super::{
    files::{ParquetFile, guarded},
    runs::{Runs, Stretch},
    vectors::{Vectors, list_item},
};
use arrow::{
    array::{ArrayData, ArrayRef, FixedSizeListArray, make_array},
    buffer::{Buffer, MutableBuffer},
    datatypes::{DataType, Field, FieldRef},
};
use parquet::{
    basic::{Encoding, Type},
    column::page::{Page, PageReader},
    errors::{ParquetError, Result},
    file::reader::SerializedPageReader,
};
use std::{fs::File, sync::Arc};

/// A footer may promise more values than the pages hold: so many bytes are taken on its word.
const RESERVED: usize = 64 << 20;

/// The vectors of a column chunk, from the first to the last.
pub(super) struct Pages {
    column: String,
    item: FieldRef,
    /// Bytes of a value.
    size: usize,
    width: usize,
    /// The definition level of a value that is there.
    present: u32,
    chunk: SerializedPageReader<File>,
    dictionary: Option<Buffer>,
    page: Values,
    /// Of the value after `page`, its place in its row: pages may end within a row.
    place: usize,
}

/// The values of a page.
struct Values {
    bytes: Buffer,
    coding: Coding,
    n: usize,
    read: usize,
}

enum Coding {
    Plain,
    /// The first bytes of all values, then the second bytes, and so on.
    Split,
    /// Indices into the dictionary.
    Indices(Runs),
}

impl Pages {
    /// None if the chunk cannot be, by what the footer tells, vectors of this width and nothing else.
    pub(super) fn of(
        file: &ParquetFile,
        opened: &Arc<File>,
        row_group: usize,
        vectors: &Vectors,
    ) -> Option<Self> {
        let Vectors { column, width } = vectors;
        let group = &file.row_groups()[row_group];
        let mut leaves =
            group.columns().iter().filter(|leaf| leaf.column_path().parts().first() == Some(column));
        let (Some(leaf), None) = (leaves.next(), leaves.next()) else { return None };
        let field = file.footer.schema().field_with_name(column).ok()?;
        let (item, told) = list_item(field.data_type())?;
        let levels = leaf.column_descr();
        let size = match (item.data_type(), leaf.column_type()) {
            (DataType::Float16, Type::FIXED_LEN_BYTE_ARRAY) if levels.type_length() == 2 => 2,
            (DataType::Float32, Type::FLOAT) => 4,
            (DataType::Float64, Type::DOUBLE) => 8,
            _ => return None,
        };
        let rows = usize::try_from(group.num_rows()).ok()?;
        let n = i64::try_from(rows.checked_mul(*width)?).ok()?;
        let sound = levels.max_rep_level() == 1
            && *width > 0
            && told.is_none_or(|told| told == *width)
            && leaf.num_values() == n
            // The bytes of a page are taken for numbers as they are.
            && cfg!(target_endian = "little");
        let none = Values { bytes: Buffer::default(), coding: Coding::Plain, n: 0, read: 0 };
        sound.then_some(Self {
            column: column.clone(),
            item: item.clone(),
            size,
            width: *width,
            present: levels.max_def_level().try_into().ok()?,
            chunk: guarded(|| SerializedPageReader::new(opened.clone(), leaf, rows, None)).ok()?,
            dictionary: None,
            page: none,
            place: 0,
        })
    }

    /// The column of the next `rows` rows.
    pub(super) fn next(&mut self, rows: usize) -> Result<(Field, ArrayRef)> {
        let n = rows * self.width;
        let bytes = match self.size {
            2 => self.read::<2>(n)?,
            4 => self.read::<4>(n)?,
            _ => self.read::<8>(n)?,
        };
        let float = self.item.data_type().clone();
        let values = ArrayData::builder(float).len(n).add_buffer(bytes.into()).build()?;
        let width = i32::try_from(self.width)?;
        let lists = FixedSizeListArray::try_new(self.item.clone(), width, make_array(values), None)?;
        Ok((Field::new_fixed_size_list(&self.column, self.item.clone(), width, false), Arc::new(lists)))
    }

    /// Refuses pages with more than was read.
    pub(super) fn end(&self) -> Result<()> {
        if self.page.left() == 0 { Ok(()) } else { Err(strange("more values than rows")) }
    }

    fn read<const SIZE: usize>(&mut self, mut n: usize) -> Result<MutableBuffer> {
        let mut out = MutableBuffer::with_capacity((n * SIZE).min(RESERVED));
        loop {
            if self.page.left() == 0 {
                match self.next_page()? {
                    Some(page) => self.page = page,
                    None if n == 0 => return Ok(out),
                    None => return Err(strange("fewer values than rows")),
                }
            } else if n == 0 {
                // Not before the next page is known to begin with a row: it might go on with the last.
                return Ok(out);
            } else {
                let start = out.len();
                let now = n.min(self.page.left());
                out.resize(start + now * SIZE, 0);
                let (values, _) = out[start..].as_chunks_mut::<SIZE>();
                self.page.read(values, self.dictionary.as_deref().unwrap_or_default())?;
                n -= now;
            }
        }
    }

    /// The next page with values, its levels checked.
    fn next_page(&mut self) -> Result<Option<Values>> {
        while let Some(page) = self.chunk.get_next_page()? {
            match page {
                Page::DictionaryPage {
                    buf,
                    num_values,
                    encoding: Encoding::PLAIN | Encoding::PLAIN_DICTIONARY,
                    ..
                } if self.dictionary.is_none() && buf.len() == num_values as usize * self.size => {
                    self.dictionary = Some(buf.into());
                }
                Page::DataPage {
                    buf,
                    num_values,
                    encoding,
                    def_level_encoding: Encoding::RLE,
                    rep_level_encoding: Encoding::RLE,
                    ..
                } => {
                    let mut rest = Buffer::from(buf);
                    let repetition = cut_prefixed(&mut rest)?;
                    let definition = cut_prefixed(&mut rest)?;
                    let page = self.values(repetition, definition, rest, encoding, num_values as usize)?;
                    return Ok(Some(page));
                }
                Page::DataPageV2 {
                    buf,
                    num_values,
                    encoding,
                    num_nulls: 0,
                    def_levels_byte_len,
                    rep_levels_byte_len,
                    ..
                } => {
                    let mut rest = Buffer::from(buf);
                    let repetition = cut(&mut rest, rep_levels_byte_len as usize)?;
                    let definition = cut(&mut rest, def_levels_byte_len as usize)?;
                    let page = self.values(repetition, definition, rest, encoding, num_values as usize)?;
                    return Ok(Some(page));
                }
                _ => return Err(strange("a page of another kind")),
            }
        }
        Ok(None)
    }

    fn values(
        &mut self,
        repetition: Buffer,
        definition: Buffer,
        mut bytes: Buffer,
        encoding: Encoding,
        n: usize,
    ) -> Result<Values> {
        let bits = |most: u32| (u32::BITS - most.leading_zeros()) as u8;
        let runs = |bytes, bits| Runs::new(bytes, bits).ok_or_else(|| strange("numbers of too many bits"));
        let rows = runs(repetition, bits(1))?.rows(n, self.width, self.place);
        if !rows || !runs(definition, bits(self.present))?.all(n, self.present) {
            return Err(strange("nulls or rows of another width"));
        }
        let whole = bytes.len() == n * self.size;
        let coding = match encoding {
            Encoding::PLAIN if whole => Coding::Plain,
            Encoding::BYTE_STREAM_SPLIT if whole => Coding::Split,
            Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY => {
                let bits = cut(&mut bytes, 1)?[0];
                Coding::Indices(runs(bytes.clone(), bits)?)
            }
            _ => return Err(strange("values in another encoding")),
        };
        self.place = (self.place + n) % self.width;
        Ok(Values { bytes, coding, n, read: 0 })
    }
}

impl Values {
    fn left(&self) -> usize {
        self.n - self.read
    }

    /// Reads as many values as `out` has, which must be left.
    fn read<const SIZE: usize>(&mut self, out: &mut [[u8; SIZE]], dictionary: &[u8]) -> Result<()> {
        let from = self.read;
        self.read += out.len();
        match &mut self.coding {
            Coding::Plain => {
                out.copy_from_slice(&self.bytes.as_chunks().0[from..self.read]);
            }
            Coding::Split => {
                // All cut to the length of `out`, so that no index needs a check.
                let streams: [&[u8]; SIZE] =
                    std::array::from_fn(|byte| &self.bytes[byte * self.n + from..][..out.len()]);
                for (i, value) in out.iter_mut().enumerate() {
                    *value = std::array::from_fn(|byte| streams[byte][i]);
                }
            }
            Coding::Indices(runs) => {
                let (dictionary, _) = dictionary.as_chunks::<SIZE>();
                look_up(runs, dictionary, out).ok_or_else(|| strange("indices beyond the dictionary"))?;
            }
        }
        Ok(())
    }
}

fn look_up<T: Copy>(runs: &mut Runs, dictionary: &[T], mut out: &mut [T]) -> Option<()> {
    while !out.is_empty() {
        out = match runs.next(out.len())? {
            Stretch::Same(index, n) => {
                let (now, later) = out.split_at_mut(n);
                now.fill(*dictionary.get(index as usize)?);
                later
            }
            Stretch::Packed(packed) => {
                let (now, later) = out.split_at_mut(packed.len());
                for (value, index) in now.iter_mut().zip(packed) {
                    *value = *dictionary.get(index as usize)?;
                }
                later
            }
        };
    }
    Some(())
}

/// Cuts off the first `n` bytes.
fn cut(bytes: &mut Buffer, n: usize) -> Result<Buffer> {
    if n > bytes.len() {
        return Err(strange("a page that is too short"));
    }
    let first = bytes.slice_with_length(0, n);
    *bytes = bytes.slice(n);
    Ok(first)
}

/// Cuts off bytes behind four that tell their number.
fn cut_prefixed(bytes: &mut Buffer) -> Result<Buffer> {
    let length = cut(bytes, 4)?;
    let length = length.iter().rev().fold(0, |length, byte| length << 8 | usize::from(*byte));
    cut(bytes, length)
}

fn strange(what: &str) -> ParquetError {
    ParquetError::General(format!("{what}, which is left to Arrow"))
}

#[cfg(test)]
mod tests;
