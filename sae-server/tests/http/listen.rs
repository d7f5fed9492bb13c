//! Addresses, ports and the end.

use sae_server::{ServeError, ServeOptions, serve};
use std::{
    future::ready,
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    time::Duration,
};
use tempfile::TempDir;
use tokio::sync::oneshot;

/// Options for a folder of no runs, and the folder.
fn options() -> (ServeOptions, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (ServeOptions::new(folder.path()), folder)
}

/// Starts a server, waits until it is ready, asks it to stop, and answers where it was.
async fn start_and_stop(options: ServeOptions) -> Result<SocketAddr, ServeError> {
    let mut address = None;
    serve(options, |ready| address = Some(ready), ready(())).await?;
    Ok(address.expect("ready before it stopped"))
}

fn busy_port() -> (TcpListener, u16) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

#[tokio::test]
async fn answers_on_a_free_port_until_told_to_stop() {
    let (options, _folder) = options();
    let (tell_address, address) = oneshot::channel();
    let (stop, stopped) = oneshot::channel::<()>();
    let server = tokio::spawn(serve(options, |address| tell_address.send(address).unwrap(), async {
        stopped.await.unwrap()
    }));
    let address = address.await.unwrap();
    assert_eq!(address.ip(), Ipv4Addr::LOCALHOST);
    let answer = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        let host = address.port();
        write!(stream, "GET /api/v1/health HTTP/1.1\r\nHost: localhost:{host}\r\nConnection: close\r\n\r\n")
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    });
    let answer = answer.await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    stop.send(()).unwrap();
    server.await.unwrap().unwrap();
    assert!(TcpStream::connect(address).is_err());
}

#[tokio::test]
async fn a_busy_port_is_an_error() {
    let (options, _folder) = options();
    let (_listener, port) = busy_port();
    let error = start_and_stop(ServeOptions { port, ..options }).await.unwrap_err();
    assert!(matches!(error, ServeError::PortBusy { .. }));
    let message = error.to_string();
    for word in [&port.to_string(), "127.0.0.1", "busy", "--port 0"] {
        assert!(message.contains(word), "{message}");
    }
}

#[tokio::test]
async fn a_busy_port_leads_to_a_later_one() {
    let (options, _folder) = options();
    let (_listener, port) = busy_port();
    let address = start_and_stop(ServeOptions { port, port_fallback: true, ..options }).await.unwrap();
    assert_ne!(address.port(), port);
    assert_ne!(address.port(), 0);
}

#[tokio::test]
async fn an_address_of_another_machine_is_an_error() {
    let (options, _folder) = options();
    let host = Ipv4Addr::new(192, 0, 2, 1).into();
    let error = start_and_stop(ServeOptions { host, ..options }).await.unwrap_err().to_string();
    assert!(error.contains("192.0.2.1") && error.contains("choose another"), "{error}");
}

#[tokio::test]
async fn the_port_file_holds_the_port() {
    let (options, folder) = options();
    let path = folder.path().join("port");
    fs_err::write(&path, "an older and longer text").unwrap();
    let options = ServeOptions { port_file: Some(path.clone()), ..options };
    let address = start_and_stop(options.clone()).await.unwrap();
    assert_eq!(fs_err::read_to_string(&path).unwrap(), format!("{}\n", address.port()));
    assert_eq!(fs_err::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");

    let path = folder.path().join("absent/port");
    let options = ServeOptions { port_file: Some(path.clone()), ..options };
    let error = start_and_stop(options).await.unwrap_err().to_string();
    assert!(error.starts_with(&path.display().to_string()), "{error}");
}

#[tokio::test]
async fn a_connection_left_open_does_not_keep_it_alive() {
    let (options, _folder) = options();
    let (hold, held) = std::sync::mpsc::channel();
    let connect = |address| hold.send(TcpStream::connect(address).unwrap()).unwrap();
    let server = serve(options, connect, ready(()));
    tokio::time::timeout(Duration::from_secs(15), server).await.expect("a bounded wait").unwrap();
    drop(held);
}
