//! Small numbers as Parquet writes levels and indices of a dictionary: runs of one number, and groups
//! of eight packed into bits.

use arrow::buffer::Buffer;

/// Numbers of `bits` bits each, read from front to back.
#[derive(Debug)]
pub(super) struct Runs {
    bytes: Buffer,
    bits: usize,
    /// Where the next run begins.
    next: usize,
    run: Run,
    /// Numbers of `run` that were not read.
    left: usize,
}

#[derive(Debug, Clone, Copy)]
enum Run {
    /// One number again and again.
    Same(u32),
    /// Numbers packed into the bytes from here, of which the next has this place.
    Packed { start: usize, place: usize },
}

/// Numbers of one run.
#[derive(Debug)]
pub(super) enum Stretch<'a> {
    /// A number, and how often it comes.
    Same(u32, usize),
    /// Different ones.
    Packed(Packed<'a>),
}

impl Runs {
    /// None if no number can have as many bits.
    pub(super) fn new(bytes: Buffer, bits: u8) -> Option<Self> {
        (bits <= 32).then_some(Self { bytes, bits: bits.into(), next: 0, run: Run::Same(0), left: 0 })
    }

    /// The next numbers, at least one and at most `most`; none at the end, or where a run is cut short.
    pub(super) fn next(&mut self, most: usize) -> Option<Stretch<'_>> {
        while self.left == 0 {
            self.begin()?;
        }
        let n = most.min(self.left);
        self.left -= n;
        Some(match &mut self.run {
            Run::Same(number) => Stretch::Same(*number, n),
            Run::Packed { start, place } => {
                let first = *place;
                *place += n;
                Stretch::Packed(Packed { bytes: &self.bytes[*start..self.next], bits: self.bits, first, n })
            }
        })
    }

    /// Reads the head of the next run.
    fn begin(&mut self) -> Option<()> {
        let mut head = 0;
        for shift in (0..35).step_by(7) {
            let byte = *self.bytes.get(self.next)?;
            self.next += 1;
            head |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return self.begin_with(head);
            }
        }
        None
    }

    fn begin_with(&mut self, head: u64) -> Option<()> {
        let n = (head >> 1) as usize;
        let start = self.next;
        if head & 1 == 1 {
            self.left = n.checked_mul(8)?;
            self.next = n.checked_mul(self.bits).and_then(|length| start.checked_add(length))?;
            self.run = Run::Packed { start, place: 0 };
        } else {
            self.left = n;
            self.next += self.bits.div_ceil(8);
            let bytes = self.bytes.get(start..self.next)?;
            self.run = Run::Same(bytes.iter().rev().fold(0, |number, byte| number << 8 | u32::from(*byte)));
        }
        (self.next <= self.bytes.len()).then_some(())
    }

    /// Whether the next `n` numbers are there and all the same.
    pub(super) fn all(&mut self, mut n: usize, expected: u32) -> bool {
        while n > 0 {
            n -= match self.next(n) {
                Some(Stretch::Same(number, n)) if number == expected => n,
                Some(Stretch::Packed(packed)) if packed.clone().all(|number| number == expected) => packed.n,
                _ => return false,
            };
        }
        true
    }

    /// Whether the next `n` numbers are there and are repetition levels of rows of `width` values: 0 at
    /// the first of a row, 1 at the others. The first number is of the value `place` in its row.
    pub(super) fn rows(&mut self, mut n: usize, width: usize, mut place: usize) -> bool {
        while n > 0 {
            let read = match self.next(n) {
                Some(Stretch::Same(0, n)) if place == 0 && (n == 1 || width == 1) => n,
                Some(Stretch::Same(1, n)) if place > 0 && n <= width - place => n,
                Some(Stretch::Packed(mut packed)) => {
                    let read = packed.n;
                    let mut place = place;
                    let sound = packed.all(|level| {
                        let sound = level == u32::from(place > 0);
                        place = if place + 1 == width { 0 } else { place + 1 };
                        sound
                    });
                    if !sound {
                        return false;
                    }
                    read
                }
                _ => return false,
            };
            n -= read;
            place = (place + read) % width;
        }
        true
    }
}

/// Numbers packed into bits.
#[derive(Debug, Clone)]
pub(super) struct Packed<'a> {
    bytes: &'a [u8],
    bits: usize,
    first: usize,
    n: usize,
}

impl Packed<'_> {
    pub(super) fn len(&self) -> usize {
        self.n
    }
}

impl Iterator for Packed<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        self.n = self.n.checked_sub(1)?;
        let bit = self.first * self.bits;
        self.first += 1;
        // A number and what stands before it in its first byte take at most 39 bits.
        let mut word = [0; 8];
        match self.bytes.get(bit / 8..bit / 8 + 8) {
            Some(bytes) => word.copy_from_slice(bytes),
            None => {
                let bytes = self.bytes.get(bit / 8..)?;
                word[..bytes.len()].copy_from_slice(bytes);
            }
        }
        Some((u64::from_le_bytes(word) >> (bit % 8) & ((1 << self.bits) - 1)) as u32)
    }
}
