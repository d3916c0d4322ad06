#![no_main]

#[allow(dead_code, reason = "each program calls one of the targets")]
#[path = "../../tests/it/fuzzed/targets.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::artifact_glob(data));
