//! The loops of a selection for AVX-512, which can compress the lanes of a vector.
//!
//! A store writes a whole vector of which only the lanes found are kept: that costs less than a copy of
//! as many as were found. So there must be room for a vector more than there are candidates.

use super::select::{Selected, bisect};
use std::arch::x86_64::*;

/// Lanes of a vector.
pub(super) const WIDTH: usize = 16;
/// Pre-activations that are compared with the bar at once.
const GROUP: usize = 64;
/// Of a group, so few are appended one by one quicker than lane by lane.
const FEW: usize = 4;

pub(super) fn detected() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("popcnt")
        && is_x86_feature_detected!("bmi1")
}

/// Appends those above the bar and above their thresholds, if there are any thresholds; looks at whole
/// groups only and gives the number of pre-activations it looked at.
///
/// # Safety
/// There must be room for all pre-activations and [`WIDTH`] more.
#[target_feature(enable = "avx512f,popcnt,bmi1")]
pub(super) unsafe fn collect<const THRESHOLDS: bool>(
    to: &mut Selected,
    first: usize,
    pre_acts: &[f32],
    thresholds: &[f32],
) -> usize {
    let (groups, _) = pre_acts.as_chunks::<GROUP>();
    assert!(!THRESHOLDS || thresholds.len() == pre_acts.len());
    let mut n = to.latents.len();
    let (latents, values) = (to.latents.as_mut_ptr(), to.values.as_mut_ptr());
    let lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    let (bar, slack) = (_mm512_set1_ps(to.bar), _mm512_set1_ps(to.slack));
    for (g, group) in groups.iter().enumerate() {
        let mut above = [0u16; GROUP / WIDTH];
        for (v, above) in above.iter_mut().enumerate() {
            // SAFETY: inside the group, and inside the thresholds, which are as many.
            unsafe {
                let value = _mm512_add_ps(_mm512_loadu_ps(group.as_ptr().add(v * WIDTH)), slack);
                *above = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(value, bar);
                if THRESHOLDS {
                    let threshold = _mm512_loadu_ps(thresholds.as_ptr().add(g * GROUP + v * WIDTH));
                    *above &= _mm512_cmp_ps_mask::<_CMP_GT_OQ>(value, threshold);
                }
            }
        }
        let mut found = above.iter().rev().fold(0u64, |all, &above| all << WIDTH | u64::from(above));
        let count = found.count_ones() as usize;
        if count <= FEW {
            // Always as many are written: how many there are cannot be foreseen, and a wrong guess costs more.
            for i in n..n + FEW {
                let at = found.trailing_zeros() as usize % GROUP;
                // SAFETY: the caller made room for all and a vector more.
                unsafe {
                    *latents.add(i) = (first + g * GROUP + at) as u32;
                    *values.add(i) = group[at] + to.slack;
                }
                found &= found.wrapping_sub(1);
            }
            n += count;
            continue;
        }
        for (v, &above) in above.iter().enumerate() {
            let start = g * GROUP + v * WIDTH;
            // SAFETY: inside the group; the caller made room for all and a vector more.
            unsafe {
                let value = _mm512_add_ps(_mm512_loadu_ps(group.as_ptr().add(v * WIDTH)), slack);
                let found = _mm512_add_epi32(lane, _mm512_set1_epi32((first + start) as i32));
                _mm512_storeu_si512(latents.add(n).cast(), _mm512_maskz_compress_epi32(above, found));
                _mm512_storeu_ps(values.add(n), _mm512_maskz_compress_ps(above, value));
            }
            n += above.count_ones() as usize;
        }
    }
    // SAFETY: the first `n` entries of both were written.
    unsafe {
        to.latents.set_len(n);
        to.values.set_len(n);
    }
    groups.len() * GROUP
}

/// The lanes of the vector from `i` on that are below `n`.
fn lanes(i: usize, n: usize) -> u16 {
    if n - i < WIDTH { (1 << (n - i)) - 1 } else { u16::MAX }
}

/// See [`bisect`].
#[target_feature(enable = "avx512f,popcnt,bmi1")]
pub(super) fn kth_largest(values: &[f32], k: usize) -> (u32, usize) {
    let count_from = |values: &[f32], least: u32| {
        let least = _mm512_set1_epi32(least as i32);
        let mut count = 0;
        for i in (0..values.len()).step_by(WIDTH) {
            let lanes = lanes(i, values.len());
            // SAFETY: the lanes loaded are inside.
            let bits = unsafe { _mm512_maskz_loadu_epi32(lanes, values.as_ptr().add(i).cast()) };
            count += _mm512_mask_cmpge_epu32_mask(lanes, bits, least).count_ones();
        }
        count as usize
    };
    bisect(values, k, count_from)
}

/// The smallest value that has at least these bits.
#[target_feature(enable = "avx512f,popcnt,bmi1")]
pub(super) fn smallest_from(values: &[f32], least: u32) -> f32 {
    let least = _mm512_set1_epi32(least as i32);
    let mut smallest = _mm512_set1_ps(f32::INFINITY);
    for i in (0..values.len()).step_by(WIDTH) {
        let lanes = lanes(i, values.len());
        // SAFETY: the lanes loaded are inside.
        let value = unsafe { _mm512_maskz_loadu_ps(lanes, values.as_ptr().add(i)) };
        let reach = _mm512_mask_cmpge_epu32_mask(lanes, _mm512_castps_si512(value), least);
        smallest = _mm512_mask_min_ps(smallest, reach, smallest, value);
    }
    _mm512_reduce_min_ps(smallest)
}

/// Keeps candidates with larger bits than `smallest` and the first `room_for_equal` of those equal to it;
/// gives the smallest kept.
///
/// # Safety
/// There must be room for [`WIDTH`] candidates more.
#[target_feature(enable = "avx512f,popcnt,bmi1")]
pub(super) unsafe fn keep(of: &mut Selected, smallest: u32, room_for_equal: usize) -> f32 {
    let (mut room_for_equal, mut kept, n) = (room_for_equal as u32, 0, of.values.len());
    let (latents, values) = (of.latents.as_mut_ptr(), of.values.as_mut_ptr());
    let smallest = _mm512_set1_epi32(smallest as i32);
    let mut least = _mm512_set1_ps(f32::INFINITY);
    for i in (0..n).step_by(WIDTH) {
        let lanes = lanes(i, n);
        // SAFETY: the lanes loaded are below `n`. Stored is a vector from `kept <= i` on, whose entries
        // were all read before; the caller made room for one beyond `n`.
        unsafe {
            let value = _mm512_maskz_loadu_ps(lanes, values.add(i));
            let latent = _mm512_maskz_loadu_epi32(lanes, latents.add(i).cast());
            let bits = _mm512_castps_si512(value);
            let mut equal = _mm512_mask_cmpeq_epu32_mask(lanes, bits, smallest);
            while equal.count_ones() > room_for_equal {
                equal ^= 1 << (15 - equal.leading_zeros());
            }
            room_for_equal -= equal.count_ones();
            let keep = equal | _mm512_mask_cmpgt_epu32_mask(lanes, bits, smallest);
            least = _mm512_mask_min_ps(least, keep, least, value);
            _mm512_storeu_si512(latents.add(kept).cast(), _mm512_maskz_compress_epi32(keep, latent));
            _mm512_storeu_ps(values.add(kept), _mm512_maskz_compress_ps(keep, value));
            kept += keep.count_ones() as usize;
        }
    }
    of.latents.truncate(kept);
    of.values.truncate(kept);
    _mm512_reduce_min_ps(least)
}
