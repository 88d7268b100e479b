//! Responses as bytes, without a connection: what `tests/fuzz` and the tests at the foot feed with whatever comes.

use crate::framing::{Malformed, malformed};
use crate::head::{Head, HeadReader};

type Read = (u16, Vec<u8>, bool, usize);

/// Reads an HTTP/1.x response that comes in pieces cut at these places: status, body, whether it is whole, and how many bytes
/// were its own.
pub(crate) fn read(answer: &[u8], cuts: &[usize]) -> Result<Read, Malformed> {
    let (mut head, mut body, mut seen, mut used) = (None::<Head>, Vec::new(), 0, 0);
    let mut reader = HeadReader::default();
    let ends = cuts.iter().map(|cut| cut % (answer.len() + 1)).chain([answer.len()]);
    for end in ends {
        let (from, to) = (seen, seen.max(end));
        seen = to;
        if head.is_none()
            && let Some((parsed, length)) = reader.feed(&answer[from..to])?
        {
            (head, used) = (Some(parsed), from + length);
        }
        if let Some(head) = &mut head {
            used += head.framing.take(&answer[used..seen], &mut body)?;
        }
    }
    let head = head.ok_or_else(|| malformed("no head"))?;
    Ok((head.status.as_u16(), body, head.framing.is_over(), used))
}

/// Reads a response whole and in pieces.
///
/// # Panics
/// When where it is cut makes a difference.
pub fn response(bytes: &[u8], cuts: &[usize]) {
    let (whole, pieces) = (read(bytes, &[]), read(bytes, cuts));
    assert_eq!(whole.is_ok(), pieces.is_ok(), "{whole:?} whole, {pieces:?} in pieces");
    if let (Ok(whole), Ok(pieces)) = (whole, pieces) {
        assert_eq!(whole, pieces);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the mutations begin with.
    const RESPONSES: [&str; 6] = [
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 11\r\n\r\nup 1\nup{} 2\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nup 1\n\r\n6;x=y\r\nup{} 2\r\n0\r\nT: x\r\n\r\n",
        "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\nup 1\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 301 Moved\r\nLocation: /x\r\nA: b\r\n c\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 204\r\nContent-Encoding: gzip\r\nConnection: close, x\r\n\r\n",
        "HTTP/1.1 503 Service Unavailable\nContent-Length: 3\nContent-Length: 3\n\nno\n",
    ];
    /// What is put in: pieces that mean something to a reader of responses.
    const PIECES: [&str; 20] = [
        "\r\n",
        "\n",
        "\r",
        " ",
        "\t",
        ":",
        ",",
        ";",
        "0",
        "f",
        "10000000000000000",
        "-1",
        "chunked",
        "Content-Length: 5\r\n",
        "Transfer-Encoding: chunked\r\n",
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 100 \r\n\r\n",
        "\0",
        "\u{ff}",
        "close",
    ];

    /// xorshift64*: the same at every run.
    struct Random(u64);

    impl Random {
        fn below(&mut self, most: usize) -> usize {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % most.max(1)
        }

        fn mutated(&mut self) -> Vec<u8> {
            let mut bytes = RESPONSES[self.below(RESPONSES.len())].as_bytes().to_vec();
            for _ in 0..=self.below(6) {
                let at = self.below(bytes.len() + 1);
                let end = bytes.len().min(at + self.below(12));
                match self.below(4) {
                    0 => drop(bytes.drain(at..end)),
                    1 => drop(bytes.splice(at..at, PIECES[self.below(PIECES.len())].bytes())),
                    2 => drop(bytes.splice(at..end, PIECES[self.below(PIECES.len())].bytes())),
                    _ => {
                        if let Some(byte) = bytes.get_mut(at) {
                            *byte = self.below(256) as u8;
                        }
                    }
                }
            }
            bytes
        }
    }

    #[test]
    fn mutated_responses_read_the_same_however_they_are_cut() {
        let (mut random, mut whole) = (Random(0x5eed), 0);
        for _ in 0..100_000 {
            let bytes = random.mutated();
            let mut cuts: Vec<usize> = (0..random.below(6)).map(|_| random.below(bytes.len() + 1)).collect();
            cuts.sort_unstable();
            response(&bytes, &cuts);
            whole += usize::from(read(&bytes, &[]).is_ok_and(|(_, _, is_whole, _)| is_whole));
        }
        assert!(whole > 5_000, "only {whole} were responses");
    }
}
