#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    bailey_fuzz_targets::certificate::request(bytes);
});
