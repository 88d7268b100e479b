//! The way from the browser to Weft, which is in a network of its own: connections to a socket that was opened outside of it are carried on
//! inside.

use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;

/// Connects whoever connects to the listener to an address, for as long as the process lives.
pub(crate) fn forward(listener: TcpListener, to: &'static str) {
    thread::spawn(move || {
        for stream in listener.incoming() {
            // One that was given up, or too many open files: the next one may do better.
            let Ok(stream) = stream else { continue };
            thread::spawn(move || join(&stream, to).ok());
        }
    });
}

/// Ends when both sides have.
fn join(outside: &TcpStream, to: &str) -> io::Result<()> {
    let inside = TcpStream::connect(to)?;
    thread::scope(|scope| {
        scope.spawn(|| copy(outside, &inside));
        copy(&inside, outside);
    });
    Ok(())
}

/// Copies until the end, which is passed on.
fn copy(from: &TcpStream, to: &TcpStream) {
    let (mut reader, mut writer) = (from, to);
    if io::copy(&mut reader, &mut writer).is_err() {
        from.shutdown(Shutdown::Read).ok();
    }
    to.shutdown(Shutdown::Write).ok();
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use kit::{Answer, Exporter, Http};

    use super::*;

    #[test]
    fn many_connections_at_once() {
        let target = Exporter::start(|path| Answer::Metrics(format!("{path}\n").repeat(50_000)));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        forward(listener, Box::leak(target.address.clone().into_boxed_str()));
        thread::scope(|scope| {
            for i in 0..8 {
                scope.spawn(move || {
                    let http = Http::new(format!("http://{address}"));
                    for _ in 0..3 {
                        let (status, body) = http.get(&format!("/{i}")).unwrap();
                        assert_eq!((status, body), (200, format!("/{i}\n").repeat(50_000)));
                    }
                });
            }
        });
    }

    #[test]
    fn one_that_hangs_up_is_hung_up_on() {
        let target = TcpListener::bind("127.0.0.1:0").unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut outside = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        forward(listener, Box::leak(target.local_addr().unwrap().to_string().into_boxed_str()));
        let (mut inside, _) = target.accept().unwrap();
        outside.write_all(b"question").unwrap();
        outside.shutdown(Shutdown::Write).unwrap();
        let mut asked = String::new();
        inside.read_to_string(&mut asked).unwrap();
        assert_eq!(asked, "question");
        inside.write_all(b"answer").unwrap();
        drop(inside);
        let mut answered = String::new();
        outside.read_to_string(&mut answered).unwrap();
        assert_eq!(answered, "answer");
    }
}
