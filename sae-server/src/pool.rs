//! A few threads for answers that are asked for often and take little time.
//!
//! The threads for blocking work are many: as many answers are begun as are asked for, and share the processors,
//! so that all of them end late. Here those begun first end first, and a thread that is done takes the next
//! from the queue without waking anybody.

use crate::error::{ApiError, ServeError};
use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
};
use tokio::sync::oneshot;

/// The threads end when the pool does.
pub(crate) struct Pool(mpsc::Sender<Work>);

type Work = Box<dyn FnOnce() + Send>;

impl Pool {
    /// Twice as many threads as there are processors: one that waits for the disk leaves its processor to another.
    pub(crate) fn new() -> Result<Self, ServeError> {
        let threads = 2 * thread::available_parallelism().map_or(1, usize::from);
        Self::with_threads(threads).map_err(|source| ServeError::System { what: "start threads", source })
    }

    fn with_threads(threads: usize) -> std::io::Result<Self> {
        let (sender, queue) = mpsc::channel::<Work>();
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..threads {
            let queue = queue.clone();
            let next = move || queue.lock().unwrap_or_else(PoisonError::into_inner).recv().ok();
            thread::Builder::new().name("page".to_owned()).spawn(move || {
                while let Some(work) = next() {
                    work();
                }
            })?;
        }
        Ok(Self(sender))
    }

    /// What `work` answers, once those that asked before are answered; it is not begun if nobody waits any more.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let (answer, answered) = oneshot::channel();
        let work = move || {
            if !answer.is_closed() {
                // Nobody may have waited until the end.
                let _ = answer.send(catch_unwind(AssertUnwindSafe(work)));
            }
        };
        // The threads end after the pool, so there is somebody to take it.
        let _ = self.0.send(Box::new(work));
        match answered.await {
            Ok(Ok(result)) => result,
            Ok(Err(panic)) => resume_unwind(panic),
            Err(_) => Err(ApiError::internal("stopping", "the server is stopping")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        time::Duration,
    };

    #[tokio::test]
    async fn answers_come_in_order_and_outlive_a_panic() {
        let pool = Pool::with_threads(1).unwrap();
        let count = Arc::new(AtomicUsize::new(0));
        let next = || {
            let count = count.clone();
            pool.run(move || Ok(count.fetch_add(1, Ordering::Relaxed)))
        };
        let (first, second, third) = tokio::join!(next(), next(), next());
        assert_eq!([first.unwrap(), second.unwrap(), third.unwrap()], [0, 1, 2]);

        let pool = Arc::new(pool);
        let of_panic = pool.clone();
        let panicked = tokio::spawn(async move { of_panic.run::<()>(|| panic!("on purpose")).await }).await;
        assert!(panicked.unwrap_err().is_panic());
        assert_eq!(pool.run(|| Ok(7)).await.unwrap(), 7);
    }

    #[tokio::test]
    async fn what_nobody_waits_for_is_not_begun() {
        let pool = Pool::with_threads(1).unwrap();
        let (go, wait) = mpsc::channel::<()>();
        let begun = Arc::new(AtomicUsize::new(0));
        let of_abandoned = begun.clone();
        let slow = pool.run(move || Ok(wait.recv().is_ok()));
        let abandoned = async {
            let work = pool.run(move || Ok(of_abandoned.fetch_add(1, Ordering::Relaxed)));
            assert!(tokio::time::timeout(Duration::from_millis(1), work).await.is_err());
            go.send(()).unwrap();
        };
        assert!(tokio::join!(slow, abandoned).0.unwrap());
        assert!(pool.run(|| Ok(true)).await.unwrap());
        assert_eq!(begun.load(Ordering::Relaxed), 0);
    }
}
