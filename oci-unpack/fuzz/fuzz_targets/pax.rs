#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| oci_unpack_fuzz::pax::run(data));
