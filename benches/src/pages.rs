//! Targets on one address, each at a path of its own.

use std::io::{BufRead, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;

/// Appends the page of a path to an empty text.
type Write = dyn Fn(&str, &mut String) + Send + Sync;

/// Serves pages as long as the process lives.
#[derive(Debug)]
pub struct Pages {
    /// Where, on 127.0.0.1.
    pub port: u16,
    served: Arc<AtomicU64>,
}

impl Pages {
    /// Serves what `write` appends for a path.
    ///
    /// # Errors
    /// When no port is free.
    pub fn serve(write: impl Fn(&str, &mut String) + Send + Sync + 'static) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let (port, served) = (listener.local_addr()?.port(), Arc::new(AtomicU64::new(0)));
        let (counter, write): (_, Arc<Write>) = (Arc::clone(&served), Arc::new(write));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (counter, write) = (Arc::clone(&counter), Arc::clone(&write));
                // A scraper that hangs up is nothing to tell.
                std::thread::spawn(move || connection(&stream, &*write, &counter).ok());
            }
        });
        Ok(Self { port, served })
    }

    /// Pages that were answered.
    #[must_use]
    pub fn served(&self) -> u64 {
        self.served.load(Ordering::Relaxed)
    }
}

fn connection(stream: &TcpStream, write: &Write, served: &AtomicU64) -> Result<()> {
    let (mut reader, mut writer, mut line) = (BufReader::new(stream), stream, String::new());
    let (mut path, mut page) = (String::new(), String::new());
    while reader.read_line(&mut line)? > 0 {
        // The empty line that ends a request.
        if line.trim_end().is_empty() {
            page.clear();
            write(&path, &mut page);
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\n\r\n",
                page.len()
            );
            writer.write_all(head.as_bytes())?;
            writer.write_all(page.as_bytes())?;
            served.fetch_add(1, Ordering::Relaxed);
        } else if let Some(rest) = line.strip_prefix("GET ") {
            rest.split(' ').next().unwrap_or_default().clone_into(&mut path);
        }
        line.clear();
    }
    Ok(())
}
