//! See [`fuzz::log`].

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    fuzz::log::read(input);
});
