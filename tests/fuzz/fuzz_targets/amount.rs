//! See [`fuzz::amount`].

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    fuzz::amount::read(input);
});
