/// A number as metrics have them: in floating point, exact up to 2^32 and infinite above.
pub(crate) fn number(number: impl TryInto<u32>) -> f64 {
    number.try_into().map_or(f64::INFINITY, f64::from)
}
