//! Batches made ahead on a thread of their own, so that training does not wait for reading.

use crate::{
    Result,
    shuffle::{Batch, Rows},
};
use std::{
    sync::mpsc::{Receiver, sync_channel},
    thread::JoinHandle,
};

/// Batches waiting at most.
const AHEAD: usize = 3;

/// Batches of shuffled rows without end.
#[derive(Debug)]
pub struct Batches {
    /// An option so that it can be closed before the thread is waited for.
    batches: Option<Receiver<Result<Batch>>>,
    thread: Option<JoinHandle<()>>,
}

impl Batches {
    /// Batches of `batch_size` rows from where `rows` stands.
    pub fn new(mut rows: Rows, batch_size: usize) -> Self {
        let (send, batches) = sync_channel(AHEAD);
        let thread = std::thread::spawn(move || {
            // Sending fails when nobody wants batches any more.
            while send.send(rows.take(batch_size)).is_ok() {}
        });
        Self { batches: Some(batches), thread: Some(thread) }
    }

    /// The next batch of `batch_size` rows.
    ///
    /// # Errors
    /// If a temporary file cannot be read.
    pub fn next_batch(&mut self) -> Result<Batch> {
        let batches = self.batches.as_ref().expect("open until dropped");
        batches.recv().expect("the thread sends until the receiver is dropped")
    }
}

impl Drop for Batches {
    fn drop(&mut self) {
        drop(self.batches.take());
        if let Some(thread) = self.thread.take() {
            // It cannot have panicked while batches were still received; nothing to report.
            let _ = thread.join();
        }
    }
}
