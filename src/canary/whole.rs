//! The one place where counts change between `f64`, which metrics speak, and whole numbers, which people read.

/// The whole part of a count; below 0 and NaN are 0, above the range is the range's end.
#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float-to-integer cast saturates, which is what is said above, and std has no other way"
)]
pub(super) fn floor(count: f64) -> u64 {
    count as u64
}

/// A whole number as a float; above 2^53 it is the nearest one.
#[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "std has no lossy conversion by name; the loss is said above")]
pub(super) fn float(count: u64) -> f64 {
    count as f64
}
