//! Since when samples count, which stands between them where it changes; read over (upstream: `tsdb/chunkenc/st.go`).

use crate::bits::BitReader;
use crate::error::Broken;

/// Which samples say since when they count.
#[derive(Clone, Copy, Debug)]
pub(super) struct StartTimes {
    of_first: bool,
    /// The first sample, of those after the first, that has one; all after it have, too. 0: none.
    from: u16,
}

impl StartTimes {
    /// As the head of a chunk says.
    pub(super) fn new(head: u8) -> Self {
        Self { of_first: head & 0x80 != 0, from: u16::from(head & 0x7f) }
    }

    /// Reads over the one of sample `i`, whose time and value are read.
    #[inline]
    pub(super) fn skip(self, bits: &mut BitReader<'_>, i: u16) -> Result<(), Broken> {
        if i == 0 {
            if self.of_first {
                bits.varint()?;
            }
        } else if self.from > 0 && i >= self.from {
            bits.varbit_int()?;
        }
        Ok(())
    }
}
