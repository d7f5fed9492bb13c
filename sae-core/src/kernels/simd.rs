//! One loop, compiled for several instruction sets, chosen when it is called.
//!
//! Plain Rust loops over fixed-size arrays vectorise well, but only for the instruction set they are
//! compiled for, and a binary that must run anywhere is compiled for none. [`multiversion!`] compiles
//! the same body for AVX-512, for AVX2 with FMA, and for the baseline.

/// `a · b + c`, fused where the caller's instruction set fuses it; elsewhere `mul_add` would be a
/// library call.
#[inline(always)]
pub(super) fn mul_add<const FMA: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

/// `multiversion!(pub fn name(arg: Type, …) -> Type = body)` makes `name` call
/// `body::<true>` compiled for AVX-512 or AVX2 + FMA where the processor has them, and
/// `body::<false>` elsewhere. `body` must be `#[inline(always)]` and take `const FMA: bool`; and with
/// `= body, wide or narrow` a number after it, `wide` for AVX-512, which has four times the registers.
macro_rules! multiversion {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? = $body:ident
     $(, $wide:literal or $narrow:literal)?) => {
        $(#[$meta])*
        $vis fn $name($($arg: $ty),*) $(-> $ret)? {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
                fn avx512($($arg: $ty),*) $(-> $ret)? {
                    $body::<true $(, $wide)?>($($arg),*)
                }
                #[target_feature(enable = "avx2,fma")]
                fn avx2($($arg: $ty),*) $(-> $ret)? {
                    $body::<true $(, $narrow)?>($($arg),*)
                }
                if is_x86_feature_detected!("avx512vl") && is_x86_feature_detected!("fma") {
                    // SAFETY: the features the function is compiled for were just detected
                    // (AVX512VL implies AVX512F and AVX2).
                    return unsafe { avx512($($arg),*) };
                }
                if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                    // SAFETY: as above.
                    return unsafe { avx2($($arg),*) };
                }
            }
            // On aarch64 fused multiply-add belongs to the baseline.
            $body::<{ cfg!(target_arch = "aarch64") } $(, $narrow)?>($($arg),*)
        }
    };
}
pub(crate) use multiversion;
