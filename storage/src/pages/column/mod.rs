//! One column of a page as bytes: the values of one series over one partition, in time order, bit for bit.
//! Drawn in `docs/formats/pages.md`, section "Columns".

use crate::rows::codec::Corrupt;

/// The bits of every value, as they are.
const RAW: u8 = 0;

/// Appends a column. `values` are the samples that exist, in time order.
#[allow(dead_code, reason = "its caller is the page")]
pub(crate) fn encode(values: &[f64], out: &mut Vec<u8>) {
    out.push(RAW);
    out.extend(values.iter().flat_map(|v| v.to_le_bytes()));
}

/// Appends the `count` values of a column to `out`; `bytes` is all that `encode` wrote.
#[allow(dead_code, reason = "its caller is the page")]
pub(crate) fn decode(bytes: &[u8], count: usize, out: &mut Vec<f64>) -> Result<(), Corrupt> {
    let values = bytes.strip_prefix(&[RAW]).ok_or(Corrupt::Shape("unknown kind of column"))?;
    let (values, []) = values.as_chunks::<8>() else { return Err(Corrupt::Shape("a value cut short")) };
    if values.len() != count {
        return Err(Corrupt::Shape("a column of another length"));
    }
    out.extend(values.iter().map(|v| f64::from_le_bytes(*v)));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_bit_for_bit() {
        let values = [1.0, -0.0, f64::NAN, f64::INFINITY];
        let mut bytes = vec![];
        encode(&values, &mut bytes);
        let mut out = vec![];
        decode(&bytes, 4, &mut out).unwrap();
        assert!(values.iter().zip(&out).all(|(a, b)| a.to_bits() == b.to_bits()));
        assert!(decode(&bytes, 3, &mut out).is_err());
        assert!(decode(&bytes[..9], 4, &mut out).is_err());
    }
}
