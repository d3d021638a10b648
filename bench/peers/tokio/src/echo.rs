//! The echo server, which runs until it is killed.

use crate::settings::{fail, Settings};
use crate::Workload;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub fn workloads() -> Vec<Workload> {
    vec![Workload { name: "echo_server", by: "", body: serve }]
}

fn serve(s: &Settings) {
    let address = s.address.clone();
    s.run(async move {
        let listener = match TcpListener::bind(&address).await {
            Ok(listener) => listener,
            Err(error) => fail(1, &format!("{address}: {error}")),
        };
        loop {
            match listener.accept().await {
                Ok((connection, _)) => drop(tokio::spawn(echo(connection))),
                Err(error) => fail(1, &format!("accept: {error}")),
            }
        }
    });
}

async fn echo(mut connection: TcpStream) {
    let _ = connection.set_nodelay(true);
    let mut buffer = [0; 4096];
    while let Ok(n) = connection.read(&mut buffer).await {
        if n == 0 || connection.write_all(&buffer[..n]).await.is_err() {
            return;
        }
    }
}
