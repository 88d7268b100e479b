//! Series notation: `up{job="a"} 1 _ 2+3x4 stale`.

use model::Labels;

use super::Point;

/// The labels and points of a line.
///
/// # Errors
/// What of the line is not in the notation, and where: `1:7: parse error: …`.
pub fn series(line: &str) -> Result<(Labels, Vec<Point>), String> {
    crate::parse::series(line).map_err(|error| error.to_string())
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
        assert!(matches!(&points[12], Point::Histogram { histogram, .. } if histogram.sum == 1.0));
        assert!(series("m 1x").is_err() && series("m{a=~\"b\" 1").is_err());
    }
}
