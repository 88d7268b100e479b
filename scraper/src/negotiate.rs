//! The `Accept` header of a job, and the format that an answer's `Content-Type` selects. Part of step 3 of the scrape path.

use config::ScrapeProtocol;

use crate::fetch::FetchError;
use crate::media_type;
use crate::parse::Format;

/// The `Accept` header: the protocols of the job in order of preference, then anything. `escaping` is what targets shall make
/// of names that are not in the legacy alphabet; only the newer text formats know of that.
pub(crate) fn accept(protocols: &[ScrapeProtocol], escaping: &str) -> String {
    let mut header = String::new();
    // Upstream's `acceptHeader`: weights count down from one more than the number of known protocols, so every
    // protocol ends above `*/*`.
    let mut weight = ScrapeProtocol::ALL.len() + 1;
    for protocol in protocols {
        header.push_str(protocol.media_type());
        if matches!(
            protocol,
            ScrapeProtocol::PrometheusText1_0_0
                | ScrapeProtocol::OpenMetricsText1_0_0
                | ScrapeProtocol::OpenMetricsText2_0_0
        ) {
            header.push_str(&format!(";escaping={escaping}"));
        }
        header.push_str(&format!(";q=0.{weight},"));
        weight -= 1;
    }
    header.push_str(&format!("*/*;q=0.{weight}"));
    header
}

/// How a body is to be read. A Content-Type that is missing, broken or unknown fails the scrape, unless the job has a
/// `fallback_scrape_protocol`. Texts follow upstream's and name the way out.
pub(crate) fn format(
    content_type: &str,
    fallback: Option<ScrapeProtocol>,
    openmetrics2: bool,
) -> Result<Format, FetchError> {
    const FIX: &str = "set fallback_scrape_protocol: PrometheusText0.0.4 in the job if the body is in the text format";
    let (problem, refusal) = match known(content_type, openmetrics2) {
        Ok(format) => return Ok(format),
        Err(Unknown::Blank) => {
            let problem = "non-compliant scrape target sending blank Content-Type".to_owned();
            (problem, " and no fallback_scrape_protocol specified for target".to_owned())
        }
        Err(Unknown::Broken(why)) => {
            let problem = format!("cannot parse Content-Type {content_type:?}");
            (problem, format!(" and no fallback_scrape_protocol for target: {why}"))
        }
        Err(Unknown::Unsupported) => (
            format!("received unsupported Content-Type {content_type:?}"),
            " and no fallback_scrape_protocol specified for target".to_owned(),
        ),
        Err(Unknown::NotEnabled) => (
            format!(
                "received OpenMetrics 2.0 Content-Type {content_type:?}, but the openmetrics2 feature flag is not enabled"
            ),
            " and no fallback_scrape_protocol specified for target".to_owned(),
        ),
    };
    let Some(fallback) = fallback else { return Err(FetchError::ContentType(format!("{problem}{refusal} ({FIX})"))) };
    tracing::debug!(%problem, fallback_scrape_protocol = fallback.as_str(), "the answer of a target does not say its format");
    // Upstream logs at debug level as well; at warn level it would repeat at every scrape.
    Ok(match fallback {
        ScrapeProtocol::PrometheusProto => Format::Protobuf,
        ScrapeProtocol::PrometheusText0_0_4 | ScrapeProtocol::PrometheusText1_0_0 => Format::Text,
        // Without a Content-Type the version is unknown; version 1 is what such targets expose.
        ScrapeProtocol::OpenMetricsText0_0_1
        | ScrapeProtocol::OpenMetricsText1_0_0
        | ScrapeProtocol::OpenMetricsText2_0_0 => Format::OpenMetrics,
    })
}

/// Why a Content-Type says nothing.
enum Unknown {
    Blank,
    Broken(&'static str),
    Unsupported,
    /// OpenMetrics 2.0, which is read behind a feature flag.
    NotEnabled,
}

fn known(content_type: &str, openmetrics2: bool) -> Result<Format, Unknown> {
    if content_type.is_empty() {
        return Err(Unknown::Blank);
    }
    let media = media_type::parse(content_type).map_err(Unknown::Broken)?;
    match (media.name.as_str(), media.version.as_deref()) {
        // Both versions of the text format are read by one parser.
        ("text/plain", _) => Ok(Format::Text),
        // The first version is another language.
        ("application/openmetrics-text", Some("2.0.0")) if openmetrics2 => Ok(Format::OpenMetrics2),
        ("application/openmetrics-text", Some("2.0.0")) => Err(Unknown::NotEnabled),
        ("application/openmetrics-text", _) => Ok(Format::OpenMetrics),
        ("application/vnd.google.protobuf", _) => Ok(Format::Protobuf),
        _ => Err(Unknown::Unsupported),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use kit::conformance_json;

    use super::*;

    /// The header of a job with these lines.
    fn accepted(lines: &str) -> String {
        let text = format!("scrape_configs: [{{job_name: a, {lines}}}]");
        let config = config::Config::parse(&text, Path::new("prometheus.yml"), &|_| None).unwrap();
        let job = &config.scrape_configs[0];
        accept(&job.scrape_protocols, &job.name_escaping)
    }

    /// scrape-061, -062; recorded with Prometheus 3.14. Since 3.15 upstream knows one protocol more, and weights begin a
    /// tenth higher.
    #[test]
    fn headers_as_upstream_sends_them() {
        let Some(table) = conformance_json("scrape/behaviours.json") else { return };
        let raise = |text: String, n| text.replace(&format!(";q=0.{n}"), &format!(";q=0.{}", n + 1));
        let text = (1..9).rev().fold(table.to_string(), raise);
        for lines in ["", "scrape_native_histograms: true"] {
            let header = accepted(lines);
            assert!(text.contains(&format!("\"expect\":\"{header}\"")), "{header}");
        }
    }

    /// scrape-063, -064
    #[test]
    fn escaping_and_order_are_the_jobs() {
        let one = "scrape_protocols: [PrometheusText1.0.0, PrometheusProto]";
        let proto = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6";
        for (scheme, escaping) in [
            ("", "allow-utf-8"),
            (", metric_name_escaping_scheme: dots", "dots"),
            (", metric_name_validation_scheme: legacy", "underscores"),
            (", metric_name_validation_scheme: legacy, metric_name_escaping_scheme: values", "values"),
        ] {
            let expected = format!("text/plain;version=1.0.0;escaping={escaping};q=0.7,{proto},*/*;q=0.5");
            assert_eq!(accepted(&format!("{one}{scheme}")), expected);
        }
    }

    #[test]
    fn formats_as_upstream_chooses_them() {
        let Some(table) = conformance_json("textparse/content_type.json") else { return };
        for case in table["cases"].as_array().unwrap() {
            let wanted = case["fallback_scrape_protocol"].as_str().unwrap();
            let fallback = ScrapeProtocol::ALL.into_iter().find(|protocol| protocol.as_str() == wanted);
            let result = format(case["content_type"].as_str().unwrap(), fallback, true);
            let text = result.as_ref().err().map(ToString::to_string).unwrap_or_default();
            let expected = match case["parser"].as_str() {
                Some("classic") => Ok(Format::Text),
                Some("openmetrics") => Ok(Format::OpenMetrics),
                Some("protobuf") => Ok(Format::Protobuf),
                _ => Err(()),
            };
            assert_eq!(result.map_err(|_| ()), expected, "{case}");
            let said = case["error_or_warning_contains"].as_str().filter(|_| expected.is_err());
            assert!(said.is_none_or(|said| text.contains(said)), "{text}, not {said:?}");
        }
        let newer = "application/openmetrics-text; version=2.0.0";
        assert_eq!(format(newer, None, true).unwrap(), Format::OpenMetrics2);
        let refused = format(newer, None, false).unwrap_err().to_string();
        let why = ", but the openmetrics2 feature flag is not enabled and no fallback_scrape_protocol specified";
        assert!(refused.starts_with(&format!("received OpenMetrics 2.0 Content-Type {newer:?}{why}")), "{refused}");
        let fallback = Some(ScrapeProtocol::OpenMetricsText2_0_0);
        assert_eq!(format(newer, fallback, false).unwrap(), Format::OpenMetrics);
        assert_eq!(format("", fallback, true).unwrap(), Format::OpenMetrics, "as upstream has it");
    }
}
