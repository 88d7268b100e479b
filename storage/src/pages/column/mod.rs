//! One column of a page as bytes: the values of one series over one partition, in time order, bit for bit.
//! Drawn in `docs/formats/pages.md`, section "Columns".
//!
//! Invariant: a column knows neither its length nor how many values it has; whoever stores it keeps both.

mod block;
mod form;
mod ints;
mod pack;
mod plan;

use form::Form;
use ints::{FACTORED, PLAIN};

use crate::kv::checksum::Corrupt;
use crate::kv::varint;

/// High bits of the first byte: the value of all, ...
const CONSTANT: u8 = 0x00;
/// ... integers without a factor or with one (`ints`), or one of the two below.
const KIND: u8 = 0xc0;
/// Runs of values that stand aside, and the column of the others.
const ASIDE: u8 = 0xc0;
/// The bits of every value, as they are.
const RAW: u8 = 0xc1;

/// Values of which a column may hold a few that have no integer, by the byte that stands for them.
const ODD: [u64; 6] = [
    0x7ff0_0000_0000_0002, // the stale marker
    0x7ff8_0000_0000_0001, // NaN, as it is written in texts
    0x7ff8_0000_0000_0000, // NaN, as it is computed
    0x7ff0_0000_0000_0000, // +Inf
    0xfff0_0000_0000_0000, // -Inf
    0x8000_0000_0000_0000, // -0
];
/// Stands before the bits of any other value.
const ODD_OTHER: u8 = ODD.len() as u8;

/// Values that are looked at to choose a form.
const PROBES: usize = 8;

/// Appends a column. `values` are the samples that exist, in time order.
pub(crate) fn encode(values: &[f64], out: &mut Vec<u8>) {
    let Some((first, rest)) = values.split_first() else { return };
    if rest.iter().all(|value| value.to_bits() == first.to_bits()) {
        return encode_constant(*first, out);
    }
    let start = out.len();
    let Split { form, mut ints, aside, .. } = Split::make(values);
    if !aside.is_empty() {
        encode_aside(&aside, values, out);
    }
    encode_ints(form, &mut ints, out);
    // No form suits, as for random bits: then a column must not take more than they do.
    if out.len() - start > values.len() * 8 {
        out.truncate(start);
        out.push(RAW);
        out.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    }
}

/// The shorter of a decimal without its high zero bytes and the bits without their low ones.
fn encode_constant(value: f64, out: &mut Vec<u8>) {
    let bits = value.to_bits().swap_bytes();
    let places = Form::places(value, 0);
    let (form, n) = places.map_or((Form::Bits, bits), |places| {
        let form = Form::Decimal(places);
        form.int(value).map_or((Form::Bits, bits), |n| (form, varint::zigzag(n)))
    });
    let (form, n) = if n.leading_zeros() / 8 >= bits.leading_zeros() / 8 { (form, n) } else { (Form::Bits, bits) };
    out.push(CONSTANT | form.tag());
    out.extend_from_slice(&n.to_le_bytes()[..8 - n.leading_zeros() as usize / 8]);
}

fn encode_ints(form: Form, ints: &mut [i64], out: &mut Vec<u8>) {
    let Some((first, rest)) = ints.split_first() else { return };
    if rest.iter().all(|n| n == first) {
        return encode_constant(form.value(*first), out);
    }
    ints::encode(ints, form, out);
}

/// Values that follow each other, all with the same bits.
#[derive(Clone, Copy, Debug)]
struct Run {
    start: usize,
    len: usize,
}

fn encode_aside(runs: &[Run], values: &[f64], out: &mut Vec<u8>) {
    out.push(ASIDE);
    varint::put(runs.len() as u64, out);
    let mut end = 0;
    for run in runs {
        varint::put((run.start - end) as u64, out);
        varint::put(run.len as u64, out);
        end = run.start + run.len;
        let bits = values[run.start].to_bits();
        match ODD.iter().position(|&odd| odd == bits) {
            Some(i) => out.push(i as u8),
            None => {
                out.push(ODD_OTHER);
                out.extend_from_slice(&bits.to_le_bytes());
            }
        }
    }
}

/// A column as integers of one form and the runs of values that have none.
#[derive(Debug)]
struct Split {
    form: Form,
    ints: Vec<i64>,
    aside: Vec<Run>,
    /// Values set aside that are decimals of more places, and how many these are.
    missed: usize,
    places: u8,
}

impl Split {
    fn make(values: &[f64]) -> Self {
        let mut split = Self {
            form: probe(values),
            ints: Vec::with_capacity(values.len()),
            aside: Vec::new(),
            missed: 0,
            places: 0,
        };
        // A run takes at least three bytes: with more runs than that another form is tried.
        let limit = values.len() / 8 + 1;
        loop {
            split.fill(values, limit);
            // The probe saw too few places: once more with as many as were found.
            if split.missed > values.len() / 64 {
                split.form = Form::Decimal(split.places);
            } else if split.aside.len() <= limit {
                return split;
            // Too many have no integer in this form.
            } else if split.form != Form::Bits {
                split.form = Form::Bits;
            } else {
                // Even so, many are NaN or infinite: as bits all of them have an integer, just a far one.
                split.aside.clear();
                split.ints.clear();
                split.ints.extend(values.iter().map(|&value| form::ordered(value)));
                return split;
            }
        }
    }

    /// Splits by the form; stops early when more than `limit` runs stand aside.
    fn fill(&mut self, values: &[f64], limit: usize) {
        self.ints.clear();
        self.aside.clear();
        self.missed = 0;
        let mut block = [0i64; pack::BLOCK];
        for (i, chunk) in values.chunks(pack::BLOCK).enumerate() {
            if !self.form.ints(chunk, &mut block) {
                self.ints.extend_from_slice(&block[..chunk.len()]);
                continue;
            }
            for (j, &value) in chunk.iter().enumerate() {
                match self.form.int(value) {
                    Some(n) => self.ints.push(n),
                    None => self.set_aside(i * pack::BLOCK + j, values),
                }
            }
            if self.aside.len() > limit {
                return;
            }
        }
    }

    fn set_aside(&mut self, i: usize, values: &[f64]) {
        if let Form::Decimal(places) = self.form
            && let Some(more) = Form::places(values[i], places + 1)
        {
            self.places = if self.missed == 0 { more } else { self.places.max(more) };
            self.missed += 1;
        }
        match self.aside.last_mut() {
            Some(run) if run.start + run.len == i && values[run.start].to_bits() == values[i].to_bits() => run.len += 1,
            _ => self.aside.push(Run { start: i, len: 1 }),
        }
    }
}

/// The form that suits a few values.
fn probe(values: &[f64]) -> Form {
    let (mut places, mut integers, mut others, n) = (0, 0, 0, values.len().min(PROBES));
    // Spread over the column, since its first values need not be like the later ones.
    for value in (0..n).map(|i| values[i * values.len() / n]) {
        if !value.is_finite() {
            continue;
        }
        match Form::places(value, places) {
            Some(more) => places = more,
            None if Form::Integer.int(value).is_some() => integers += 1,
            None => others += 1,
        }
    }
    // Large integers and fractions side by side share no decimal form.
    if others * 4 > n || (integers > 0 && places > 0) {
        Form::Bits
    } else if integers > 0 {
        Form::Integer
    } else {
        Form::Decimal(places)
    }
}

/// Appends the `count` values of a column to `out`; `bytes` is all that `encode` wrote.
pub(crate) fn decode(bytes: &[u8], count: usize, out: &mut Vec<f64>) -> Result<(), Corrupt> {
    let start = out.len();
    let decoded = match bytes.split_first() {
        Some((&ASIDE, rest)) => decode_aside(rest, count, out),
        _ => decode_plain(bytes, count, out),
    };
    decoded.ok_or_else(|| {
        out.truncate(start);
        Corrupt::Shape("a column and its number of values do not agree")
    })
}

fn decode_plain(bytes: &[u8], count: usize, out: &mut Vec<f64>) -> Option<()> {
    if count == 0 {
        return bytes.is_empty().then_some(());
    }
    let (&head, rest) = bytes.split_first()?;
    let form = Form::from_tag(head);
    match head & KIND {
        CONSTANT if head >> 4 == 0 => {
            let mut n = [0u8; 8];
            n.get_mut(..rest.len())?.copy_from_slice(rest);
            let n = u64::from_le_bytes(n);
            let value = match form {
                Form::Bits => f64::from_bits(n.swap_bytes()),
                _ => form.value(varint::unzigzag(n)),
            };
            out.resize(out.len() + count, value);
            Some(())
        }
        PLAIN | FACTORED => {
            let order = head >> 4 & 3;
            let shape = ints::Shape { form, order, factored: head & KIND == FACTORED };
            (order <= 2).then(|| ints::decode(rest, shape, count, out))?
        }
        _ if head == RAW => {
            let (values, []) = rest.as_chunks::<8>() else { return None };
            out.extend(values.iter().map(|value| f64::from_le_bytes(*value)));
            (values.len() == count).then_some(())
        }
        _ => None,
    }
}

fn decode_aside(mut bytes: &[u8], count: usize, out: &mut Vec<f64>) -> Option<()> {
    let n_runs = varint::take_usize(&mut bytes)?;
    // A run takes at least three bytes.
    if n_runs > bytes.len() / 3 {
        return None;
    }
    let mut runs = Vec::with_capacity(n_runs);
    let (mut end, mut n_aside) = (0usize, 0);
    for _ in 0..n_runs {
        let start = end.checked_add(varint::take_usize(&mut bytes)?)?;
        let len = varint::take_usize(&mut bytes)?;
        end = start.checked_add(len).filter(|&end| end <= count)?;
        n_aside += len;
        let (&odd, rest) = bytes.split_first()?;
        bytes = rest;
        let bits = match ODD.get(usize::from(odd)) {
            Some(&bits) => bits,
            None if odd == ODD_OTHER => {
                let (bits, rest) = bytes.split_first_chunk()?;
                bytes = rest;
                u64::from_le_bytes(*bits)
            }
            None => return None,
        };
        runs.push((Run { start, len }, f64::from_bits(bits)));
    }
    let first = out.len();
    decode_plain(bytes, count - n_aside, out)?;
    let mut from = out.len();
    // What is set aside goes between the values that were just decoded.
    out.resize(first + count, 0.0);
    let mut to = out.len();
    // From the end, so that what moves up overwrites nothing that is still to move.
    for (run, value) in runs.iter().rev() {
        let kept = to - (first + run.start + run.len);
        out.copy_within(from - kept..from, to - kept);
        (from, to) = (from - kept, to - kept - run.len);
        out[to..to + run.len].fill(*value);
    }
    Some(())
}

#[cfg(test)]
mod tests;
