//! A migration added is a change of this crate, which embeds them all.

fn main() {
    println!("cargo:rerun-if-changed=../../migrations");
}
