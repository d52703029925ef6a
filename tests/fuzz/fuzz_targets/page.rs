//! See [`fuzz::page`].

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    fuzz::page::read(input);
});
