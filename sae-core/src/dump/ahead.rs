//! Row groups decoded ahead, each on a thread of its own: decoding is most of the work of reading.

use super::{BATCH_ROWS, Dump, files::ParquetFile, row_group::RowGroup, vectors::Vectors};
use crate::Result;
use arrow::array::RecordBatch;
use std::{
    collections::VecDeque,
    panic::resume_unwind,
    sync::mpsc::{Receiver, SendError, SyncSender, sync_channel},
    thread::{Builder, JoinHandle},
};

/// Of what is decoded, so much waits at most, beside a batch for each thread.
const AHEAD_BYTES: u64 = 256 << 20;
/// Batches of a row group that wait at most.
const AHEAD_BATCHES: u64 = 64;

/// The name of the threads that decode. Parquet's decoder panics on some corrupt pages; the panic is
/// caught and told as an error, so a panic hook need not report it.
pub const DECODER_THREAD: &str = "decoder";

/// The row groups of a dump in their order.
pub(super) struct Ahead {
    dump: Dump,
    columns: Vec<String>,
    /// The row group to be begun next: file, and number in the file.
    next: (usize, usize),
    waiting: VecDeque<Decoding>,
    /// Bytes of the row group given out last, and of those waiting.
    bytes: (u64, u64),
}

/// A row group being decoded.
pub(super) struct Decoding {
    pub(super) file: usize,
    /// Its number in the file.
    pub(super) number: usize,
    bytes: u64,
    batches: Receiver<Result<RecordBatch>>,
    thread: Option<JoinHandle<()>>,
}

impl Ahead {
    pub(super) fn new(dump: Dump, columns: Vec<String>) -> Self {
        Self { dump, columns, next: (0, 0), waiting: VecDeque::new(), bytes: (0, 0) }
    }

    /// The next row group. The one before it should have been read to its end.
    pub(super) fn next_group(&mut self) -> Result<Option<Decoding>> {
        self.bytes.0 = 0;
        self.begin()?;
        let Some(group) = self.waiting.pop_front() else { return Ok(None) };
        self.bytes = (group.bytes, self.bytes.1 - group.bytes);
        self.begin()?;
        Ok(Some(group))
    }

    /// Begins row groups as long as there are threads and room for them, at least one.
    fn begin(&mut self) -> Result<()> {
        let dump = self.dump.clone();
        while let Some(file) = dump.parquet().get(self.next.0) {
            let number = self.next.1;
            if number == file.row_groups().len() {
                self.next = (self.next.0 + 1, 0);
                continue;
            }
            let bytes = file.bytes(number, &self.columns);
            let (given, waiting) = self.bytes;
            let threads = self.waiting.len() + usize::from(given > 0);
            let room = threads < rayon::current_num_threads() && given + waiting + bytes <= AHEAD_BYTES;
            if threads > 0 && !room {
                break;
            }
            let rows = batch_rows(&dump, file, number);
            let vectors = dump.layout().vectors().cloned().collect();
            self.waiting.push_back(Decoding::begin(file, self.next, &self.columns, vectors, rows, bytes)?);
            self.bytes.1 += bytes;
            self.next.1 += 1;
        }
        Ok(())
    }
}

/// Rows of a batch: as many as come to at most [`BATCH_ROWS`] positions, if all have as many.
fn batch_rows(dump: &Dump, file: &ParquetFile, number: usize) -> usize {
    if !dump.layout().nested {
        return BATCH_ROWS;
    }
    let rows = file.row_groups()[number].num_rows().max(1) as u64;
    let per_row = dump.layout().group_positions(file)[number].div_ceil(rows).max(1);
    (BATCH_ROWS as u64 / per_row).max(1) as usize
}

impl Decoding {
    fn begin(
        file: &ParquetFile,
        place: (usize, usize),
        columns: &[String],
        vectors: Vec<Vectors>,
        rows: usize,
        bytes: u64,
    ) -> Result<Self> {
        let n_batches = file.row_groups()[place.1].num_rows().max(0) as u64 / rows as u64 + 1;
        let waiting = (AHEAD_BYTES / (bytes / n_batches).max(1)).clamp(1, n_batches.min(AHEAD_BATCHES));
        let (send, batches) = sync_channel(waiting as usize);
        let (file, columns) = (file.clone(), columns.to_vec());
        let thread = Builder::new().name(DECODER_THREAD.to_owned()).spawn(move || {
            // Sending fails when nobody wants batches any more.
            let _ = decode(RowGroup::read(&file, place.1, &columns, &vectors, rows), &send);
        })?;
        Ok(Self { file: place.0, number: place.1, bytes, batches, thread: Some(thread) })
    }

    /// The next batch, none at the end of the row group.
    pub(super) fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        match self.batches.recv() {
            Ok(batch) => batch.map(Some),
            Err(_) => {
                // The thread is done, or has panicked: that must not pass for the end.
                if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join) {
                    resume_unwind(panic);
                }
                Ok(None)
            }
        }
    }
}

/// Sends the batches of a row group up to its end or the first error.
fn decode(
    group: Result<RowGroup>,
    send: &SyncSender<Result<RecordBatch>>,
) -> Result<(), SendError<Result<RecordBatch>>> {
    match group {
        Ok(group) => {
            for batch in group {
                let failed = batch.is_err();
                send.send(batch)?;
                if failed {
                    break;
                }
            }
            Ok(())
        }
        Err(error) => send.send(Err(error)),
    }
}
