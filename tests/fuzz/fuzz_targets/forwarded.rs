//! See [`fuzz::forwarded`].

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    fuzz::forwarded::read(input);
});
