//! The rows of a row group: vectors from their pages, the other columns by Arrow's decoder. It decodes
//! all of them from where the pages are not what vectors mostly are.

use super::{
    files::{ParquetFile, guarded},
    pages::Pages,
    vectors::Vectors,
};
use crate::Result;
use arrow::{array::RecordBatch, datatypes::Schema};
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;
use std::sync::Arc;

/// The rows of a row group, batch by batch. After an error it must not be asked again.
pub(super) struct RowGroup {
    file: ParquetFile,
    number: usize,
    columns: Vec<String>,
    rows: usize,
    /// Columns that `arrow` leaves out.
    pages: Vec<Pages>,
    arrow: ParquetRecordBatchReader,
    /// Batches given out.
    given: usize,
}

impl RowGroup {
    /// Reads `columns`, `rows` rows at a time; those of them that are among `vectors`, and hold one in
    /// each row, without Arrow's decoder if possible.
    pub(super) fn read(
        file: &ParquetFile,
        number: usize,
        columns: &[String],
        vectors: &[Vectors],
        rows: usize,
    ) -> Result<Self> {
        let (opened, _) = fs_err::File::open(&file.path)?.into_parts();
        let opened = Arc::new(opened);
        let mut pages: Vec<Pages> = Vec::new();
        let mut others = columns.to_vec();
        for vectors in vectors {
            if others.contains(&vectors.column)
                && let Some(found) = Pages::of(file, &opened, number, vectors)
            {
                pages.push(found);
                others.retain(|column| *column != vectors.column);
            }
        }
        let arrow = file.arrow(number, &others, rows)?;
        Ok(Self { file: file.clone(), number, columns: columns.to_vec(), rows, pages, arrow, given: 0 })
    }

    fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        if !self.pages.is_empty() {
            match guarded(|| self.with_pages()) {
                Ok(batch) => {
                    self.given += 1;
                    return Ok(batch);
                }
                Err(_) => self.leave_to_arrow()?,
            }
        }
        guarded(|| self.arrow.next().transpose())
            .map_err(|reason| self.file.bad_pages(self.number, reason).into())
    }

    /// The next batch, its vectors from pages.
    fn with_pages(&mut self) -> parquet::errors::Result<Option<RecordBatch>> {
        let Some(others) = self.arrow.next().transpose()? else {
            self.pages.iter().try_for_each(Pages::end)?;
            return Ok(None);
        };
        let mut fields = others.schema().fields().to_vec();
        let mut columns = others.columns().to_vec();
        for pages in &mut self.pages {
            let (field, column) = pages.next(others.num_rows())?;
            fields.push(Arc::new(field));
            columns.push(column);
        }
        Ok(Some(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?))
    }

    /// Goes on with Arrow's decoder alone, from the first batch that was not given out.
    fn leave_to_arrow(&mut self) -> Result<()> {
        self.pages.clear();
        self.arrow = self.file.arrow(self.number, &self.columns, self.rows)?;
        // Read and dropped, not skipped: an error must come where it would have come otherwise.
        for _ in 0..self.given {
            self.next_batch()?;
        }
        Ok(())
    }
}

impl Iterator for RowGroup {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_batch().transpose()
    }
}

#[cfg(test)]
pub(super) mod tests;
