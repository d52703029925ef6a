use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Result;
use testkit::cut::{Cut, Fault};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// Answers each `x` with an `y`, and counts what it received.
async fn server() -> Result<(SocketAddr, Arc<AtomicUsize>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let received = Arc::new(AtomicUsize::new(0));
    let count = received.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let count = count.clone();
            tokio::spawn(async move {
                let mut buffer = [0; 1024];
                while let Ok(length @ 1..) = stream.read(&mut buffer).await {
                    count.fetch_add(length, Ordering::SeqCst);
                    let answer = vec![b'y'; length];
                    if stream.write_all(&answer).await.is_err() {
                        break;
                    }
                }
            });
        }
    });
    Ok((address, received))
}

/// Sends so many bytes and gives how many came back, and whether the connection was reset.
async fn exchange(stream: &mut TcpStream, bytes: &[u8]) -> (usize, bool) {
    if stream.write_all(bytes).await.is_err() {
        return (0, true);
    }
    let (mut back, mut buffer) = (0, [0; 1024]);
    while back < bytes.len() {
        match timeout(Duration::from_millis(500), stream.read(&mut buffer)).await {
            Ok(Ok(0)) | Err(_) => return (back, false),
            Ok(Ok(length)) => back += length,
            Ok(Err(_)) => return (back, true),
        }
    }
    (back, false)
}

#[tokio::test]
async fn without_a_fault_everything_passes() -> Result<()> {
    let (target, _) = server().await?;
    let cut = Cut::start(target).await?;
    let mut stream = TcpStream::connect(cut.address()).await?;
    assert_eq!(exchange(&mut stream, &[b'x'; 300]).await, (300, false));
    assert_eq!(cut.cuts(), 0);
    Ok(())
}

#[tokio::test]
async fn a_connection_is_cut_after_the_bytes_that_were_named() -> Result<()> {
    let (target, received) = server().await?;
    let cut = Cut::start(target).await?;
    cut.once(Fault::AfterSent(10));
    let mut stream = TcpStream::connect(cut.address()).await?;
    let (_, reset) = exchange(&mut stream, &[b'x'; 30]).await;
    assert!(reset, "the connection goes on");
    assert_eq!(received.load(Ordering::SeqCst), 10);

    cut.once(Fault::AfterReceived(7));
    let mut stream = TcpStream::connect(cut.address()).await?;
    assert_eq!(exchange(&mut stream, &[b'x'; 30]).await, (7, true));
    assert_eq!(cut.cuts(), 2);

    let mut stream = TcpStream::connect(cut.address()).await?;
    assert_eq!(exchange(&mut stream, &[b'x'; 30]).await, (30, false), "the fault was meant for one connection");
    Ok(())
}

#[tokio::test]
async fn the_server_does_it_and_the_client_never_learns() -> Result<()> {
    let (target, received) = server().await?;
    let cut = Cut::start(target).await?;
    cut.once(Fault::BeforeAnswerTo(b"COMMIT".to_vec()));
    let mut stream = TcpStream::connect(cut.address()).await?;
    assert_eq!(exchange(&mut stream, b"BEGIN").await, (5, false), "another request was cut");
    assert_eq!(exchange(&mut stream, b"and COMMIT").await, (0, true));
    assert_eq!(received.load(Ordering::SeqCst), 15);
    Ok(())
}

#[tokio::test]
async fn a_black_hole_neither_answers_nor_ends() -> Result<()> {
    let (target, received) = server().await?;
    let cut = Cut::start(target).await?;
    let mut stream = TcpStream::connect(cut.address()).await?;
    assert_eq!(exchange(&mut stream, b"x").await, (1, false));
    cut.set(Fault::Blackhole);
    assert_eq!(exchange(&mut stream, b"xx").await, (0, false));
    assert_eq!(received.load(Ordering::SeqCst), 1);
    cut.cut_all();
    assert!(exchange(&mut stream, b"x").await.1, "the connection stands");
    Ok(())
}

#[tokio::test]
async fn a_refused_connection_is_reset() -> Result<()> {
    let (target, received) = server().await?;
    let cut = Cut::start(target).await?;
    cut.set(Fault::Refuse);
    let mut stream = TcpStream::connect(cut.address()).await?;
    assert!(exchange(&mut stream, b"x").await.1);
    assert_eq!(received.load(Ordering::SeqCst), 0);
    Ok(())
}

#[tokio::test]
async fn pointed_elsewhere_it_leads_new_connections_there() -> Result<()> {
    let (first, heard_first) = server().await?;
    let (second, heard_second) = server().await?;
    let proxy = Cut::start(first).await?;
    let mut stands = TcpStream::connect(proxy.address()).await?;
    assert_eq!(exchange(&mut stands, b"x").await, (1, false));
    proxy.point_at(second);
    assert_eq!(exchange(&mut stands, b"x").await, (1, false));
    let mut new = TcpStream::connect(proxy.address()).await?;
    assert_eq!(exchange(&mut new, b"xx").await, (2, false));
    assert_eq!((heard_first.load(Ordering::SeqCst), heard_second.load(Ordering::SeqCst)), (2, 2));
    Ok(())
}
