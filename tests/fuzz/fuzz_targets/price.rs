//! See [`fuzz::price`].

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    fuzz::price::read(input);
});
