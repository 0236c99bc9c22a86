//! `support`: a bundle for a report of a fault. Secrets are never read, tokens are taken out of every text, and people
//! have short hashes instead of their ids.
//!
//! `collect` reads; `redact` takes out what must not leave the house.

mod collect;
mod redact;

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::clock;

use super::error::CliError;
use super::flags::OperatorFlags;
use super::session::Session;
use super::texts::count;

use collect::{Bundle, collect};

/// Collect what helps with a fault, without secrets and without people, for a report of it.
///
/// Names of objects, namespaces and tenants stay, and so do ids of roles and organizations: look through the files
/// before you send them.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A folder to write the files into, which must not exist, or a file that ends in .tar. Default: a folder named
    /// after the time.
    #[arg(long, value_name = "DIR|FILE.tar")]
    dir: Option<PathBuf>,

    /// Leave user ids and e-mail addresses as they are.
    #[arg(long)]
    with_ids: bool,

    #[command(flatten)]
    operator: OperatorFlags,
}

/// Runs the command.
pub async fn run(session: &Session, args: &Args) -> Result<u8, CliError> {
    let cluster = session.cluster()?;
    let named = || PathBuf::from(format!("rescind-support-{}", clock::wall().strftime("%Y%m%dT%H%M%SZ")));
    let target = args.dir.clone().unwrap_or_else(named);
    if target.exists() {
        return Err(CliError::usage(format!("{} exists already: name another with --dir", target.display())));
    }
    let bundle = collect(&session.screen, &cluster, &args.operator.namespace, args.with_ids).await;
    session.screen.progress_done();
    let written = if target.extension().is_some_and(|extension| extension == "tar") {
        tar(&target, &bundle)
    } else {
        folder(&target, &bundle)
    };
    written.map_err(|error| CliError::failed(format!("{} cannot be written ({error})", target.display())))?;
    let people = if args.with_ids { "people are named in it" } else { "people have hashes instead of their ids" };
    session.screen.print(format!(
        "wrote {} to {}: Secrets were not read, tokens are taken out, {people}. Look through it before you send it.\n",
        count(bundle.files.len(), "file"),
        target.display()
    ))?;
    for why in &bundle.missing {
        session.screen.note(format!("not collected: {why}"));
    }
    Ok(0)
}

fn folder(target: &Path, bundle: &Bundle) -> std::io::Result<()> {
    for (name, text) in &bundle.files {
        let file = target.join(name);
        fs::create_dir_all(file.parent().unwrap_or(target))?;
        fs::write(file, text)?;
    }
    Ok(())
}

fn tar(target: &Path, bundle: &Bundle) -> std::io::Result<()> {
    let mut archive = tar::Builder::new(File::create_new(target)?);
    let modified = u64::try_from(clock::wall().as_second()).unwrap_or(0);
    for (name, text) in &bundle.files {
        let mut header = tar::Header::new_gnu();
        header.set_size(u64::try_from(text.len()).unwrap_or(u64::MAX));
        header.set_mode(0o600);
        header.set_mtime(modified);
        header.set_cksum();
        archive.append_data(&mut header, Path::new("rescind-support").join(name), text.as_bytes())?;
    }
    archive.into_inner().map(|_| ())
}
