//! `cargo xtask image`: what `docker build` makes of the Dockerfile, where nothing can be pulled.
//!
//! The builder is an image with hardly anything in it: this machine's own compilers and crates are mounted into it,
//! read-only, while it builds. What was compiled stays under the target directory, so that the next build compiles what
//! has changed.

use std::env;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::{paths, run, setup};

const BUILDER: &str = "localhost/sluice-builder";
/// What the tests run; `tests/tests/image` has the same name. As everything that CI builds, it is not optimised.
const TESTED: (&str, &str) = ("sluice:test", "dev");
/// No registry is asked, and nobody debugs what is in an image.
const CONTAINERFILE: &str = "\
FROM scratch
COPY root /
ENV PATH=/rust/bin:/usr/bin CARGO_HOME=/cargo CARGO_NET_OFFLINE=true CARGO_PROFILE_DEV_DEBUG=false
";

/// Builds it under this name.
pub(crate) fn build(tag: &str, profile: &str) -> Result<()> {
    setup::run(&setup::IMAGE)?;
    run::step(&format!("build the image {tag} ({profile}; a first build takes minutes)"), || {
        run::logged(run::cargo()?.args(["fetch", "--locked", "--target", "host-tuple"]), "image-crates")?;
        let image = paths::target()?.join("image");
        make_builder(&image.join("builder"))?;
        let replaced = id(tag);
        let built = run::logged(from_dockerfile(&image.join("build"), profile)?.args(["--tag", tag, "."]), "image");
        run::succeeds(podman().args(["rmi", BUILDER]));
        built?;
        if let Some(old) = replaced.filter(|old| id(tag).as_ref() != Some(old)) {
            run::succeeds(podman().args(["rmi", &old])); // unless it still runs, or has another name
        }
        let size = run::read(podman().args(["image", "inspect", "--format", "{{.Size}}", tag]))?;
        let size = size.parse::<u64>().context("podman says no size")? / 1_000_000;
        println!("    {tag}: {size} MB; for instance `podman run --rm {tag} sluice --help`");
        Ok(())
    })
}

/// Builds what the tests run. When that fails, they have nothing to run, rather than what was built before.
pub(crate) fn build_tested() -> Result<()> {
    let (tag, profile) = TESTED;
    build(tag, profile).inspect_err(|_| {
        run::succeeds(podman().args(["rmi", "--force", tag]));
    })
}

/// Where a system keeps its programs, `/usr` has to be: the links that lead there are all there is.
fn make_builder(context: &Path) -> Result<()> {
    let root = context.join("root");
    if root.exists() {
        fs::remove_dir_all(&root).with_context(|| format!("cannot remove {}", root.display()))?;
    }
    fs::create_dir_all(root.join("tmp")).with_context(|| format!("cannot create {}", root.display()))?;
    for name in ["bin", "lib", "lib64"] {
        symlink(format!("usr/{name}"), root.join(name))?;
    }
    fs::write(context.join("Containerfile"), CONTAINERFILE)?;
    run::logged(podman_build().args(["--tag", BUILDER]).arg(context), "image-builder")
}

/// The build, but for a name and its context.
fn from_dockerfile(build: &Path, profile: &str) -> Result<Command> {
    fs::create_dir_all(build).with_context(|| format!("cannot create {}", build.display()))?;
    let rust = run::read(run::at_home("rustc").args(["--print", "sysroot"]))?;
    let cargo = env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(env::home_dir()?.join(".cargo")));
    let cargo = cargo.context("where does cargo keep its crates? CARGO_HOME says it")?;
    let revision = run::read(run::at_home("git").args(["rev-parse", "HEAD"])).unwrap_or_else(|_| "unknown".to_owned());

    let mut command = podman_build();
    for argument in [format!("BUILDER={BUILDER}"), format!("PROFILE={profile}"), format!("REVISION={revision}")] {
        command.args(["--build-arg", &argument]);
    }
    // On Debian `cc` is a link through /etc/alternatives.
    let system = ["/usr", "/etc/ssl", "/etc/alternatives"].map(|path| (Path::new(path), path));
    for (from, to) in
        system.into_iter().filter(|(from, _)| from.exists()).chain([(rust.as_ref(), "/rust"), (&*cargo, "/cargo")])
    {
        command.arg(format!("--volume={}:{to}:ro", from.display()));
    }
    command.arg(format!("--volume={}:/build", build.display()));
    Ok(command)
}

/// Without a container's own processes and network, which take rights that not every root has; without leftovers.
fn podman_build() -> Command {
    let mut command = podman();
    command.args(["build", "--isolation", "chroot", "--network", "host", "--layers=false"]);
    command
}

fn podman() -> Command {
    run::at_home("podman")
}

fn id(tag: &str) -> Option<String> {
    run::read(podman().args(["image", "inspect", "--format", "{{.Id}}", tag])).ok()
}
