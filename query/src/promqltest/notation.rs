//! Series notation: `up{job="a"} 1 _ 2+3x4 stale`.

use model::Labels;

use crate::parse_selector;

/// One point of a series line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Point {
    /// No sample.
    Absent,
    /// A sample; the stale marker is one.
    Float(f64),
    /// A native histogram, which the model cannot hold yet.
    Histogram,
}

/// The labels and points of a line.
///
/// # Errors
/// What of the line is not in the notation.
pub fn series(line: &str) -> Result<(Labels, Vec<Point>), String> {
    let (metric, points) = split_metric(line);
    let matchers = parse_selector(metric).map_err(|error| error.to_string())?;
    let labels = Labels::from_pairs(matchers.iter().map(|m| (&m.name, &m.value)));
    let mut out = Vec::new();
    for item in items(points) {
        expand(item, &mut out).ok_or_else(|| format!("not a point: {item:?} in {line:?}"))?;
    }
    Ok((labels, out))
}

/// The metric at the start of a line, and the rest.
fn split_metric(line: &str) -> (&str, &str) {
    let mut quote = None;
    let mut depth = 0;
    let mut escaped = false;
    for (i, c) in line.char_indices() {
        match (quote, c) {
            _ if escaped => escaped = false,
            (Some(q), '\\') if q != '`' => escaped = true,
            (Some(q), c) if c == q => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'' | '`') => quote = Some(c),
            (None, '{') => depth += 1,
            (None, '}') => depth -= 1,
            (None, c) if c.is_whitespace() && depth == 0 => return line.split_at(i),
            _ => {}
        }
    }
    (line, "")
}

/// The points of a line; histograms contain blanks.
fn items(text: &str) -> Vec<&str> {
    let mut out = Vec::new();
    let (mut start, mut braces) = (None, 0);
    for (i, c) in text.char_indices() {
        match c {
            '{' => braces += 1,
            '}' => braces -= 1,
            _ => {}
        }
        match (c.is_whitespace() && braces == 0, start) {
            (true, Some(from)) => {
                out.push(&text[from..i]);
                start = None;
            }
            (false, None) => start = Some(i),
            _ => {}
        }
    }
    out.extend(start.map(|from| &text[from..]));
    out
}

fn expand(item: &str, out: &mut Vec<Point>) -> Option<()> {
    if item.starts_with("{{") {
        let times = item.rsplit_once("}}")?.1.strip_prefix('x').map_or(Some(0), |n| n.parse().ok())?;
        out.extend(std::iter::repeat_n(Point::Histogram, 1 + times));
        return Some(());
    }
    match item.to_ascii_lowercase().as_str() {
        "_" => out.push(Point::Absent),
        "stale" => out.push(Point::Float(model::sample::stale_nan())),
        "nan" => out.push(Point::Float(f64::NAN)),
        "inf" | "+inf" => out.push(Point::Float(f64::INFINITY)),
        "-inf" => out.push(Point::Float(f64::NEG_INFINITY)),
        _ => repeated(item, out)?,
    }
    Some(())
}

/// `v`, `vxN`, `a+bxN`, `a-bxN`, `_xN`.
fn repeated(item: &str, out: &mut Vec<Point>) -> Option<()> {
    let Some((value, times)) = item.split_once('x') else {
        out.push(Point::Float(item.parse().ok()?));
        return Some(());
    };
    let times: usize = times.parse().ok()?;
    if value == "_" {
        out.extend(std::iter::repeat_n(Point::Absent, times));
        return Some(());
    }
    // The sign between start and step: not the first character, nor the sign of an exponent.
    let bytes = value.as_bytes();
    let is_sign = |i: &usize| matches!(bytes[*i], b'+' | b'-') && !matches!(bytes[i - 1], b'e' | b'E');
    let (start, step) = match (1..bytes.len()).find(is_sign) {
        Some(i) => (value[..i].parse::<f64>().ok()?, value[i..].parse::<f64>().ok()?),
        None => (value.parse::<f64>().ok()?, 0.0),
    };
    let mut current = start;
    for _ in 0..=times {
        out.push(Point::Float(current));
        current += step;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form() {
        let (labels, points) = series(r#"m{a="x y"} 1 _ 2+3x2 -1-1x1 _x2 stale 1e-3x1 {{schema:0 sum:1}}x1"#).unwrap();
        assert_eq!(labels.to_string(), r#"m{a="x y"}"#);
        let float = Point::Float;
        assert_eq!(
            points[..7],
            [float(1.0), Point::Absent, float(2.0), float(5.0), float(8.0), float(-1.0), float(-2.0)]
        );
        assert_eq!(points.len(), 14);
        assert_eq!(points[12..], [Point::Histogram; 2]);
        assert!(series("m 1x").is_err() && series("m{a=~\"b\" 1").is_err());
    }
}
