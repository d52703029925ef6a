//! What is in the image, and what is not.

use std::collections::BTreeSet;

use anyhow::Result;
use testkit::paths;

use crate::container::{Pod, image, listing, said};

const PROGRAMS: [&str; 4] = ["front", "sluice", "wallet", "watcher"];

#[test]
fn there_is_nothing_in_it_but_our_programs_certificates_and_the_name_of_their_user() -> Result<()> {
    let mut files = BTreeSet::new();
    let listed = listing()?;
    for line in listed.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (mode, owner, name) = (words[0], words[1], words[5]);
        assert_eq!(owner, "0/0", "{line}");
        assert!(mode.as_bytes()[5] == b'-' && mode.as_bytes()[8] == b'-', "others than root can write: {line}");
        if mode.starts_with('d') {
            continue;
        }
        assert!(mode.starts_with('-') && !mode.contains('s'), "no link, no device, nobody else's rights: {line}");
        files.insert(name);
    }
    let others = ["etc/group", "etc/passwd", "etc/ssl/certs/ca-certificates.crt"].map(str::to_owned);
    let expected: BTreeSet<String> =
        PROGRAMS.map(|program| format!("bin/{program}")).into_iter().chain(others).collect();
    assert_eq!(files, expected.iter().map(String::as_str).collect());
    Ok(())
}

#[test]
fn it_says_what_it_is_and_runs_as_nobody_in_particular() -> Result<()> {
    assert_eq!(image(r#"{{index .Labels "org.opencontainers.image.version"}}"#)?, env!("CARGO_PKG_VERSION"));
    assert_eq!(image(r#"{{index .Labels "org.opencontainers.image.licenses"}}"#)?, "Apache-2.0");
    assert_eq!(image("{{.User}} {{.Config.Cmd}}")?, "65532:65532 [front]");
    Ok(())
}

#[test]
fn every_program_says_what_it_is_for_and_there_is_no_shell_to_ask() -> Result<()> {
    let pod = Pod::of("front-deployment")?;
    for program in PROGRAMS {
        let named = if program == "sluice" { program.to_owned() } else { format!("sluice-{program}") };
        assert_eq!(pod.prints(&[program, "--version"])?.trim(), format!("{named} {}", env!("CARGO_PKG_VERSION")));
        let help = pod.prints(&[program, "--help"])?;
        assert!(help.contains(&format!("Usage: {program}")), "{help}");
    }
    for shell in ["/bin/sh", "sh", "/bin/busybox"] {
        let output = pod.run(&[shell, "-c", "true"])?;
        assert_eq!(output.status.code(), Some(127), "{}", said(&output));
    }
    Ok(())
}

#[test]
fn a_configuration_is_mounted_and_checked() -> Result<()> {
    let pod = Pod::of("front-deployment")?.configured(&paths::root().join("compose"));
    pod.prints(&["sluice", "config", "check", "sluice.toml"])?;
    let wrong = pod.with(["--env=SLUICE_FRONT__LISTEN=nowhere".to_owned()]);
    let refused = wrong.run(&["sluice", "config", "check", "sluice.toml"])?;
    assert!(!refused.status.success() && said(&refused).contains("SLUICE_FRONT__LISTEN"), "{}", said(&refused));
    Ok(())
}

#[test]
fn nothing_can_be_written_anywhere() -> Result<()> {
    let pod = Pod::of("wallet-deployment")?;
    for file in ["/key", "/bin/key", "/etc/key", "/etc/sluice/key", "key", "/tmp/key", "/run/key"] {
        let refused = pod.run(&["sluice", "key", "new", "--raw", file])?;
        assert_eq!(refused.status.code(), Some(1), "{file}: {}", said(&refused));
        let said = said(&refused);
        assert!(said.contains("Read-only file system") || said.contains("No such file or directory"), "{said}");
    }
    Ok(())
}
