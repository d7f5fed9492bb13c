use crate::{AppState, ServeError, app};
use std::{
    io::{ErrorKind, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::sync::oneshot;

/// How long requests under way may still take once the server is asked to stop.
const GRACE: Duration = Duration::from_secs(5);
/// How many ports after a busy one are tried before any free one is taken.
const NEXT_PORTS: u16 = 20;

/// What to serve, and where.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// A folder of runs, or one run.
    pub root: PathBuf,
    /// The address to listen on.
    pub host: IpAddr,
    /// The port to listen on; 0 takes any free one.
    pub port: u16,
    /// Take another port if `port` is busy: the next free one of the following 20, else any.
    pub port_fallback: bool,
    /// Where to write the port, as text, once the server listens.
    pub port_file: Option<PathBuf>,
    /// The built page.
    pub web: Option<PathBuf>,
}

impl ServeOptions {
    /// Serves `root` at 127.0.0.1 on any free port, without the page.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            host: Ipv4Addr::LOCALHOST.into(),
            port: 0,
            port_fallback: false,
            port_file: None,
            web: None,
        }
    }
}

/// Serves until Ctrl-C or SIGTERM, on a runtime of its own. `on_ready` gets the address once
/// connections are accepted.
///
/// # Errors
/// If the folder, the address or the port file cannot be had; see [`ServeError`].
pub fn run(options: ServeOptions, on_ready: impl FnOnce(SocketAddr)) -> Result<(), ServeError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|source| ServeError::System { what: "start the runtime", source })?;
    let result = runtime.block_on(async {
        let stop = stop_signal()?;
        serve(options, on_ready, stop).await
    });
    // Work on blocking threads cannot be cancelled; waiting for it would undo the bounded stop.
    runtime.shutdown_background();
    result
}

/// Serves until `stop` completes and requests under way are answered or 5 s have passed.
///
/// # Errors
/// If the folder, the address or the port file cannot be had; see [`ServeError`].
pub async fn serve(
    options: ServeOptions,
    on_ready: impl FnOnce(SocketAddr),
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeError> {
    let state = AppState::new(&options.root)?;
    let app = app(state, &options);
    let system = |what| move |source| ServeError::System { what, source };
    let listener = listen(options.host, options.port, options.port_fallback)?;
    listener.set_nonblocking(true).map_err(system("make the listener asynchronous"))?;
    let listener = tokio::net::TcpListener::from_std(listener).map_err(system("register the listener"))?;
    let address = listener.local_addr().map_err(system("learn the own address"))?;
    if let Some(path) = &options.port_file {
        write_port(path, address.port())
            .map_err(|source| ServeError::PortFile { path: path.clone(), source })?;
    }
    on_ready(address);

    let (stopping, stopped) = oneshot::channel();
    let server = axum::serve(listener, app).with_graceful_shutdown(async move {
        stop.await;
        // Nobody listens any more only if the server has ended already.
        let _ = stopping.send(());
    });
    let out_of_patience = async {
        let _ = stopped.await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        result = server => result.map_err(system("go on accepting connections")),
        () = out_of_patience => {
            tracing::warn!("stopped with requests unanswered after {} s", GRACE.as_secs());
            Ok(())
        }
    }
}

/// Completes on Ctrl-C or SIGTERM, from now on.
fn stop_signal() -> Result<impl Future<Output = ()> + Send + 'static, ServeError> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let listen =
            |kind| signal(kind).map_err(|source| ServeError::System { what: "listen for signals", source });
        let (mut interrupt, mut terminate) =
            (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
        Ok(async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        })
    }
    #[cfg(not(unix))]
    Ok(async {
        if let Err(error) = tokio::signal::ctrl_c().await {
            tracing::warn!("cannot listen for Ctrl-C: {error}");
            std::future::pending().await
        }
    })
}

fn listen(host: IpAddr, port: u16, fallback: bool) -> Result<TcpListener, ServeError> {
    let next = (1..=NEXT_PORTS).filter_map(|step| port.checked_add(step));
    let others = next.chain([0]).filter(|_| fallback);
    for candidate in std::iter::once(port).chain(others) {
        match TcpListener::bind((host, candidate)) {
            Ok(listener) => return Ok(listener),
            Err(error) if error.kind() == ErrorKind::AddrInUse => {}
            Err(source) => return Err(ServeError::Listen { host, port: candidate, source }),
        }
    }
    Err(ServeError::PortBusy { host, port })
}

/// Writes beside and renames, so that whoever waits for the file reads a whole number.
fn write_port(path: &Path, port: u16) -> std::io::Result<()> {
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut file = tempfile::NamedTempFile::new_in(parent)?;
    writeln!(file, "{port}")?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}
