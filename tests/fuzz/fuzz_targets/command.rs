//! See [`fuzz::command`].

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    fuzz::command::read(input);
});
