//! Selecting the latents that fire while pre-activations pass by in chunks.

#[cfg(target_arch = "x86_64")]
use super::select_avx512;
use super::simd::multiversion;

/// Which latents fire, given their pre-activations.
#[derive(Debug, Clone, Copy)]
pub enum Selection<'a> {
    /// Every positive pre-activation.
    Positive,
    /// The `k` largest, if positive; of equal ones the lower latent.
    TopK(usize),
    /// Every positive pre-activation above its latent's threshold, `[d_sae]`.
    Above(&'a [f32]),
    /// Every pre-activation above its latent's threshold, `[d_sae]`, whatever its sign.
    Over(&'a [f32]),
}

/// The latents of one row selected so far, in increasing order.
///
/// Chunks of pre-activations are offered in increasing order of latents. For [`Selection::TopK`]
/// candidates are collected above a rising bar: when 4k of them wait, the best k stay and the
/// smallest of these becomes the bar, so nearly every later pre-activation costs one comparison.
///
/// Where pre-activations are known up to a slack only, the values are the largest that they may be, and
/// candidates stay that may be among the `k` largest: those no farther than twice the slack below the `k`-th.
#[derive(Debug, Default, Clone)]
pub(super) struct Selected {
    pub(super) latents: Vec<u32>,
    pub(super) values: Vec<f32>,
    pub(super) bar: f32,
    pub(super) slack: f32,
    /// The bar at the beginning, for [`Selection::TopK`].
    floor: f32,
    /// How many candidates may wait, if that is more than usual.
    limit: usize,
}

impl Selected {
    /// Begins a row, whose pre-activations are known up to `slack`. Of [`Selection::TopK`] more than `k`
    /// should be above `floor`; [`Selected::reached_its_floor`] tells whether they were.
    pub(super) fn clear(&mut self, slack: f32, floor: f32) {
        self.latents.clear();
        self.values.clear();
        // Without a bound all would pass: none do.
        let bar = if slack.is_finite() { floor } else { f32::INFINITY };
        (self.bar, self.slack, self.floor, self.limit) = (bar, slack, floor, 64);
    }

    /// Offers the latents `first..first + pre_acts.len()` with their pre-activations.
    pub(super) fn offer(&mut self, selection: Selection<'_>, first: usize, pre_acts: &[f32]) {
        match selection {
            Selection::Positive => self.collect(first, pre_acts, None),
            Selection::Above(threshold) => {
                self.collect(first, pre_acts, Some(&threshold[first..first + pre_acts.len()]));
            }
            Selection::Over(threshold) => {
                if self.slack.is_finite() {
                    self.bar = f32::NEG_INFINITY;
                }
                self.collect(first, pre_acts, Some(&threshold[first..first + pre_acts.len()]));
            }
            Selection::TopK(k) => {
                self.collect(first, pre_acts, None);
                if self.latents.len() >= k.saturating_mul(4).max(self.limit) {
                    self.keep_largest(k);
                }
            }
        }
    }

    /// Leaves the selection of the whole row; with a slack, the candidates for it.
    pub(super) fn finish(&mut self, selection: Selection<'_>) {
        if let Selection::TopK(k) = selection {
            self.keep_largest(k);
        }
    }

    /// From candidates whose values are now exact products, without bias, leaves the selection of the row.
    pub(super) fn finish_exactly(&mut self, selection: Selection<'_>, bias: &[f32]) {
        let mut kept = 0;
        for i in 0..self.latents.len() {
            let latent = self.latents[i] as usize;
            let pre_act = self.values[i] + bias[latent];
            let above = match selection {
                Selection::Positive | Selection::TopK(_) => pre_act > 0.0,
                Selection::Above(threshold) => pre_act > 0.0 && pre_act > threshold[latent],
                Selection::Over(threshold) => pre_act > threshold[latent],
            };
            self.latents[kept] = latent as u32;
            self.values[kept] = pre_act;
            kept += usize::from(above);
        }
        self.latents.truncate(kept);
        self.values.truncate(kept);
        self.finish(selection);
    }

    /// Whether a row that has ended has its `k` largest above its floor, so that nothing is missing.
    pub(super) fn reached_its_floor(&self) -> bool {
        self.floor == 0.0 || self.bar > self.floor
    }

    /// Begins anew with candidates that are known.
    pub(super) fn restart(&mut self, latents: &[u32], values: &[f32]) {
        self.clear(0.0, 0.0);
        self.latents.extend_from_slice(latents);
        self.values.extend_from_slice(values);
    }

    /// Appends those above the bar and above their thresholds, if there are any thresholds.
    fn collect(&mut self, first: usize, pre_acts: &[f32], thresholds: Option<&[f32]>) {
        #[cfg(target_arch = "x86_64")]
        if select_avx512::detected() {
            self.latents.reserve(pre_acts.len() + select_avx512::WIDTH);
            self.values.reserve(pre_acts.len() + select_avx512::WIDTH);
            // SAFETY: just detected; there is room for all and a vector more.
            let done = unsafe {
                match thresholds {
                    None => select_avx512::collect::<false>(self, first, pre_acts, &[]),
                    Some(thresholds) => select_avx512::collect::<true>(self, first, pre_acts, thresholds),
                }
            };
            if done < pre_acts.len() {
                let thresholds = thresholds.map(|thresholds| &thresholds[done..]);
                collect(self, first + done, &pre_acts[done..], thresholds);
            }
            return;
        }
        collect(self, first, pre_acts, thresholds);
    }

    /// Keeps the `k` largest candidates, of equal ones the lower latents, and raises the bar to the
    /// smallest of them.
    fn keep_largest(&mut self, k: usize) {
        if self.values.len() <= k {
            return;
        }
        if k == 0 {
            self.clear(self.slack, self.floor);
            self.bar = f32::INFINITY;
            return;
        }
        let (smallest, larger) = kth_largest(&self.values, k);
        if self.slack == 0.0 {
            self.bar = self.keep(smallest, k - larger);
        } else {
            // By the k-th itself: what lies below it, as a floor decides, must not change who remains.
            let kth = smallest_from(&self.values, smallest);
            self.bar = self.bar.max(kth - 2.0 * self.slack);
            self.keep(self.bar.to_bits(), 0);
            self.limit = 2 * self.values.len();
        }
    }

    /// Keeps candidates with larger bits than `smallest` and the first `room_for_equal` of those equal to
    /// it; gives the smallest kept.
    fn keep(&mut self, smallest: u32, mut room_for_equal: usize) -> f32 {
        #[cfg(target_arch = "x86_64")]
        if select_avx512::detected() {
            self.latents.reserve(select_avx512::WIDTH);
            self.values.reserve(select_avx512::WIDTH);
            // SAFETY: just detected; there is room for a vector more.
            return unsafe { select_avx512::keep(self, smallest, room_for_equal) };
        }
        let (mut kept, mut least) = (0, f32::INFINITY);
        for i in 0..self.values.len() {
            let value = self.values[i];
            let equal = value.to_bits() == smallest && room_for_equal > 0;
            room_for_equal -= usize::from(equal);
            let keep = equal || value.to_bits() > smallest;
            // Written whether kept or not: a store costs less than a branch missed half the time.
            self.latents[kept] = self.latents[i];
            self.values[kept] = value;
            kept += usize::from(keep);
            least = if keep { least.min(value) } else { least };
        }
        self.latents.truncate(kept);
        self.values.truncate(kept);
        least
    }
}

multiversion! {
    /// See [`Selected::collect`].
    fn collect(to: &mut Selected, first: usize, pre_acts: &[f32], thresholds: Option<&[f32]>) = collect_body
}

#[inline(always)]
fn collect_body<const FMA: bool>(
    to: &mut Selected,
    first: usize,
    pre_acts: &[f32],
    thresholds: Option<&[f32]>,
) {
    const GROUP: usize = 16;
    for (g, group) in pre_acts.chunks(GROUP).enumerate() {
        // Nearly all groups have none, which this finds out with vectors.
        let mut any = false;
        for &pre_act in group {
            any |= pre_act + to.slack > to.bar;
        }
        if !any {
            continue;
        }
        for (i, &pre_act) in group.iter().enumerate() {
            let (i, value) = (g * GROUP + i, pre_act + to.slack);
            if value > to.bar && thresholds.is_none_or(|thresholds| value > thresholds[i]) {
                to.latents.push((first + i) as u32);
                to.values.push(value);
            }
        }
    }
}

/// For `1 <= k <= values.len()` positive values: bits that exactly `k` values reach, or, where equal
/// values make that impossible, the bits of the `k`-th largest; and how many values are larger.
///
/// Bits of positive floats order as the floats do, so this is bisection over integers, and each
/// step is a count that vectorises: for the 4k values of a selection far quicker than sorting.
#[inline(always)]
pub(super) fn bisect(values: &[f32], k: usize, count_from: impl Fn(&[f32], u32) -> usize) -> (u32, usize) {
    // Invariant: at least k values are >= low, fewer than k are >= high.
    let (mut low, mut high) = (u32::MAX, 0u32);
    for value in values {
        low = low.min(value.to_bits());
        high = high.max(value.to_bits());
    }
    high += 1;
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        match count_from(values, middle) {
            reach if reach == k => return (middle, count_from(values, middle + 1)),
            reach if reach > k => low = middle,
            _ => high = middle,
        }
    }
    (low, count_from(values, high))
}

/// See [`bisect`].
fn kth_largest(values: &[f32], k: usize) -> (u32, usize) {
    #[cfg(target_arch = "x86_64")]
    if select_avx512::detected() {
        // SAFETY: just detected.
        return unsafe { select_avx512::kth_largest(values, k) };
    }
    bisect_in_vectors(values, k)
}

multiversion! {
    fn bisect_in_vectors(values: &[f32], k: usize) -> (u32, usize) = bisect_body
}

#[inline(always)]
fn bisect_body<const FMA: bool>(values: &[f32], k: usize) -> (u32, usize) {
    bisect(values, k, count_from)
}

/// The smallest value that has at least these bits.
fn smallest_from(values: &[f32], least: u32) -> f32 {
    #[cfg(target_arch = "x86_64")]
    if select_avx512::detected() {
        // SAFETY: just detected.
        return unsafe { select_avx512::smallest_from(values, least) };
    }
    values.iter().filter(|value| value.to_bits() >= least).copied().fold(f32::INFINITY, f32::min)
}

/// How many values have at least these bits. A loop, because the closure of an iterator would be
/// compiled for the baseline.
#[inline(always)]
fn count_from(values: &[f32], least: u32) -> usize {
    let mut count = 0u32;
    for value in values {
        count += u32::from(value.to_bits() >= least);
    }
    count as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Few different values, so that many are equal.
        #[test]
        fn the_largest_are_selected(steps in prop::collection::vec(-9i8..9, 1..1200), k in 0usize..40, width in 1usize..400) {
            let pre_acts: Vec<f32> = steps.iter().map(|&step| f32::from(step)).collect();
            let mut selected = Selected::default();
            selected.clear(0.0, 0.0);
            for (block, pre_acts) in pre_acts.chunks(width).enumerate() {
                selected.offer(Selection::TopK(k), block * width, pre_acts);
            }
            selected.finish(Selection::TopK(k));
            let mut order: Vec<usize> = (0..pre_acts.len()).filter(|&l| pre_acts[l] > 0.0).collect();
            order.sort_by(|&a, &b| pre_acts[b].total_cmp(&pre_acts[a]));
            order.truncate(k);
            order.sort_unstable();
            prop_assert_eq!(&selected.latents, &order.iter().map(|&l| l as u32).collect::<Vec<_>>());
            prop_assert_eq!(&selected.values, &order.iter().map(|&l| pre_acts[l]).collect::<Vec<_>>());
        }
    }
}
