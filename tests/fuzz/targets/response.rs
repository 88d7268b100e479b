//! HTTP/1.x responses of targets: whatever comes breaks nothing, and where it is cut makes no difference. The first bytes say
//! where.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (Vec<u8>, [u16; 4])| {
    let (bytes, mut cuts) = input;
    cuts.sort_unstable();
    http_client::fuzzing::response(&bytes, &cuts.map(usize::from));
});
