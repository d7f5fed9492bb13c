use anyhow::Context;
use sae_server::ServeOptions;
use std::{
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
};

#[derive(Debug, clap::Args)]
pub(crate) struct Serve {
    /// A folder of runs, or one run
    #[arg(default_value = "runs")]
    runs: PathBuf,
    /// The port to listen on; 0 takes any free one
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// The address to listen on; other machines reach only one that is not loopback
    #[arg(long, default_value = "127.0.0.1")]
    host: IpAddr,
    /// Write the port here once the server listens
    #[arg(long, value_name = "FILE")]
    port_file: Option<PathBuf>,
    /// The built page [default: web/dist here or beside the binary]
    #[arg(long, value_name = "DIR")]
    web: Option<PathBuf>,
}

impl Serve {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let options = ServeOptions {
            root: self.runs,
            host: self.host,
            port: self.port,
            port_fallback: false,
            port_file: self.port_file,
            web: self.web.or_else(find_page),
        };
        sae_server::run(options, announce)?;
        Ok(())
    }
}

/// Serves a folder at a port, or near it if it is busy.
pub(crate) fn serve_nearby(runs: &Path, port: u16) -> anyhow::Result<()> {
    let options = ServeOptions { port, port_fallback: true, web: find_page(), ..ServeOptions::new(runs) };
    sae_server::run(options, move |address| {
        if port != 0 && address.port() != port {
            eprintln!("port {port} is busy: took {} instead", address.port());
        }
        announce(address);
    })
    .context("the demo is trained and indexed, but cannot be served")
}

fn announce(address: SocketAddr) {
    println!("serving http://{address} (Ctrl-C to stop)");
}

/// The page where `make` puts it, seen from the checkout or from the binary in `target/`.
fn find_page() -> Option<PathBuf> {
    let beside = std::env::current_exe().ok().and_then(|exe| Some(exe.ancestors().nth(3)?.join("web/dist")));
    [Some(PathBuf::from("web/dist")), beside]
        .into_iter()
        .flatten()
        .find(|page| page.join("index.html").is_file())
}
