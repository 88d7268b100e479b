//! Builds the crate anew when the web page was built: `rust-embed` sees changed files, but not new ones.

fn main() {
    // There from the start, with nothing but a `.gitignore` in it.
    println!("cargo:rerun-if-changed=../ui/dist");
}
