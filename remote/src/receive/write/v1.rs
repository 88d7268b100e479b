//! `prometheus.WriteRequest`, read in place (`proto::write` declares the same).

use std::str::from_utf8;

use model::protobuf::{Broken, Fields};
use model::{Exemplar, Timestamp};

use super::histogram;
use super::labels::Pairs;
use crate::receive::storing::{Stop, Storing};

/// Hands on all series of a message. What it says about metric families is kept nowhere, as with upstream.
pub(super) fn read(message: &[u8], storing: &mut Storing<'_>) -> Result<(), Stop> {
    let mut pairs = Pairs::default();
    let mut fields = Fields::new(message);
    while let Some((number, value)) = fields.next()? {
        if number == 1 {
            series(value.bytes()?, &mut pairs, storing)?;
        }
    }
    Ok(())
}

fn series<'a>(message: &'a [u8], pairs: &mut Pairs<'a>, storing: &mut Storing<'_>) -> Result<(), Stop> {
    pairs.clear();
    let mut fields = Fields::new(message);
    // Labels may stand anywhere, and must be known first.
    while let Some((number, value)) = fields.next()? {
        if number == 1 {
            label(value.bytes()?, pairs)?;
        }
    }
    match pairs.series() {
        Ok(labels) => storing.begin(labels)?,
        Err(why) => {
            // Without an error for the sender, as with upstream.
            tracing::warn!(why, "a series of remote write was left out");
            storing.counted.invalid_labels += 1;
            return Ok(());
        }
    }
    let mut fields = Fields::new(message);
    while let Some((number, value)) = fields.next()? {
        match number {
            2 => {
                let (ts, value) = sample(value.bytes()?)?;
                storing.sample(ts, value, None)?;
            }
            3 => storing.exemplar(exemplar(value.bytes()?, pairs)?)?,
            4 => storing.histogram(histogram::read(value.bytes()?)?)?,
            _ => {}
        }
    }
    Ok(())
}

#[inline]
fn label<'a>(message: &'a [u8], pairs: &mut Pairs<'a>) -> Result<(), Broken> {
    let (mut name, mut text): (&[u8], &[u8]) = (b"", b"");
    let mut fields = Fields::new(message);
    while let Some((number, value)) = fields.next()? {
        match number {
            1 => name = value.bytes()?,
            2 => text = value.bytes()?,
            _ => {}
        }
    }
    pairs.push(from_utf8(name).ok(), from_utf8(text).ok());
    Ok(())
}

#[inline]
fn sample(message: &[u8]) -> Result<(Timestamp, f64), Broken> {
    let (mut ts, mut number) = (0, 0.0);
    let mut fields = Fields::new(message);
    while let Some((field, value)) = fields.next()? {
        match field {
            1 => number = value.double()?,
            2 => ts = value.int()?,
            _ => {}
        }
    }
    Ok((Timestamp(ts), number))
}

fn exemplar<'a>(message: &'a [u8], pairs: &mut Pairs<'a>) -> Result<Exemplar, Broken> {
    pairs.clear();
    let (mut ts, mut number) = (0, 0.0);
    let mut fields = Fields::new(message);
    while let Some((field, value)) = fields.next()? {
        match field {
            1 => label(value.bytes()?, pairs)?,
            2 => number = value.double()?,
            3 => ts = value.int()?,
            _ => {}
        }
    }
    Ok(Exemplar { labels: pairs.exemplar(), value: number, ts: Timestamp(ts) })
}
