use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

/// What was read from files, kept until they change or others are asked for more recently.
///
/// Reading blocks only those who ask for the same thing.
pub(crate) struct Cache<T> {
    capacity: usize,
    /// Least recently used first.
    slots: Mutex<Vec<(PathBuf, Slot<T>)>>,
}

type Slot<T> = Arc<Mutex<Option<(Stamp, Arc<T>)>>>;

/// How a file stood when it was read: a change of either tells that it was written again.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    modified: SystemTime,
    bytes: u64,
}

impl Stamp {
    /// How the file at `path` stands.
    pub(crate) fn of(path: &Path) -> std::io::Result<Self> {
        let metadata = fs_err::metadata(path)?;
        Ok(Self { modified: metadata.modified()?, bytes: metadata.len() })
    }
}

impl<T> Cache<T> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity, slots: Mutex::default() }
    }

    /// What `read` gives for `path`, read only if it is not here as of `stamp`.
    pub(crate) fn get<E>(
        &self,
        path: &Path,
        stamp: Stamp,
        read: impl FnOnce() -> Result<T, E>,
    ) -> Result<Arc<T>, E> {
        let slot = self.slot(path);
        // A reader that panicked left nothing or a whole value, both fit to go on with.
        let mut kept = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((as_of, value)) = &*kept
            && *as_of == stamp
        {
            return Ok(value.clone());
        }
        *kept = None;
        let value = Arc::new(read()?);
        *kept = Some((stamp, value.clone()));
        Ok(value)
    }

    fn slot(&self, path: &Path) -> Slot<T> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = match slots.iter().position(|(key, _)| key == path) {
            Some(place) => slots.remove(place),
            None => (path.to_owned(), Slot::default()),
        };
        if slots.len() >= self.capacity {
            slots.remove(0);
        }
        let slot = entry.1.clone();
        slots.push(entry);
        slot
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{convert::Infallible, time::Duration};

    fn stamp(seconds: u64) -> Stamp {
        Stamp { modified: SystemTime::UNIX_EPOCH + Duration::from_secs(seconds), bytes: 1 }
    }

    fn get(cache: &Cache<u32>, path: &str, at: u64, value: u32) -> u32 {
        *cache.get(Path::new(path), stamp(at), || Ok::<_, Infallible>(value)).expect("never fails")
    }

    #[test]
    fn reads_again_only_what_changed() {
        let cache = Cache::new(2);
        assert_eq!(get(&cache, "a", 0, 1), 1);
        assert_eq!(get(&cache, "a", 0, 2), 1);
        assert_eq!(get(&cache, "a", 1, 3), 3);
    }

    #[test]
    fn forgets_the_least_recently_used() {
        let cache = Cache::new(2);
        get(&cache, "a", 0, 1);
        get(&cache, "b", 0, 1);
        get(&cache, "a", 0, 1);
        get(&cache, "c", 0, 1);
        assert_eq!(get(&cache, "a", 0, 2), 1);
        assert_eq!(get(&cache, "b", 0, 2), 2);
    }

    #[test]
    fn keeps_no_failure() {
        let cache = Cache::new(1);
        assert_eq!(cache.get(Path::new("a"), stamp(0), || Err("no")).err(), Some("no"));
        assert_eq!(get(&cache, "a", 0, 1), 1);
    }
}
