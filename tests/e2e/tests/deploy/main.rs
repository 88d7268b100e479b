//! What `deploy/` and `cargo xtask image` hand out, run as far as that goes without a container engine: the image from its own root
//! file system, the manifests on a real API server, with the rights that they give.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::print_stdout,
    missing_docs,
    unreachable_pub,
    missing_debug_implementations,
    reason = "a test: a failed step is its message"
)]

mod cluster;
mod container;
mod dist;
mod image;
mod manifests;

use std::process::ExitCode;

use kit::{Isolated, isolated};

fn main() -> ExitCode {
    isolated(&[
        Isolated { name: "image_twice_the_same", run: image::twice_the_same, cannot: image::cannot },
        Isolated { name: "image_runs", run: image::runs, cannot: image::cannot },
        Isolated { name: "dist", run: dist::everything_of_a_release, cannot: dist::cannot },
        Isolated {
            name: "overlay_of_the_page",
            run: manifests::overlay_of_the_page,
            cannot: || cluster::kustomize().err(),
        },
        Isolated { name: "manifests_base", run: manifests::base, cannot: manifests::cannot },
        Isolated { name: "manifests_ha", run: manifests::ha, cannot: manifests::cannot },
        Isolated { name: "manifests_operator", run: manifests::operator, cannot: manifests::cannot },
        Isolated { name: "manifests_one_namespace", run: manifests::one_namespace, cannot: manifests::cannot },
        Isolated { name: "manifests_sharded", run: manifests::sharded, cannot: manifests::cannot },
    ])
}
