//! The exposition formats that a target may be asked for.

use crate::Error;
use crate::schema::{Codec, Fields, Shape};
use crate::yaml::Yaml;

/// An exposition format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ScrapeProtocol {
    /// `application/vnd.google.protobuf`
    PrometheusProto,
    /// `text/plain; version=0.0.4`
    PrometheusText0_0_4,
    /// `text/plain; version=1.0.0`
    PrometheusText1_0_0,
    /// `application/openmetrics-text; version=0.0.1`
    OpenMetricsText0_0_1,
    /// `application/openmetrics-text; version=1.0.0`
    OpenMetricsText1_0_0,
    /// `application/openmetrics-text; version=2.0.0`
    OpenMetricsText2_0_0,
}

impl ScrapeProtocol {
    /// Every format, by name.
    pub const ALL: [Self; 6] = [
        Self::OpenMetricsText0_0_1,
        Self::OpenMetricsText1_0_0,
        Self::OpenMetricsText2_0_0,
        Self::PrometheusProto,
        Self::PrometheusText0_0_4,
        Self::PrometheusText1_0_0,
    ];
    /// The formats to ask for by default, the preferred one first.
    pub const DEFAULT: [Self; 4] =
        [Self::OpenMetricsText1_0_0, Self::OpenMetricsText0_0_1, Self::PrometheusText1_0_0, Self::PrometheusText0_0_4];
    /// The default where native histograms are scraped, which only protobuf can carry.
    pub const PROTO_FIRST: [Self; 5] = [
        Self::PrometheusProto,
        Self::OpenMetricsText1_0_0,
        Self::OpenMetricsText0_0_1,
        Self::PrometheusText1_0_0,
        Self::PrometheusText0_0_4,
    ];

    /// The spelling in configurations.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PrometheusProto => "PrometheusProto",
            Self::PrometheusText0_0_4 => "PrometheusText0.0.4",
            Self::PrometheusText1_0_0 => "PrometheusText1.0.0",
            Self::OpenMetricsText0_0_1 => "OpenMetricsText0.0.1",
            Self::OpenMetricsText1_0_0 => "OpenMetricsText1.0.0",
            Self::OpenMetricsText2_0_0 => "OpenMetricsText2.0.0",
        }
    }

    /// The media type in the `Accept` header.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::PrometheusProto => {
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
            }
            Self::PrometheusText0_0_4 => "text/plain;version=0.0.4",
            Self::PrometheusText1_0_0 => "text/plain;version=1.0.0",
            Self::OpenMetricsText0_0_1 => "application/openmetrics-text;version=0.0.1",
            Self::OpenMetricsText1_0_0 => "application/openmetrics-text;version=1.0.0",
            Self::OpenMetricsText2_0_0 => "application/openmetrics-text;version=2.0.0",
        }
    }
}

/// Which section asks for formats, for errors: `global`, or the job of this name.
#[derive(Clone, Copy)]
pub(crate) enum Place<'a> {
    Global,
    Job(&'a str),
}

impl std::fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Global => f.write_str("global config"),
            Self::Job(name) => write!(f, "scrape config with job name {name:?}"),
        }
    }
}

/// The formats to ask for: at least one, each once.
pub(crate) enum Protocols {}

impl Protocols {
    fn read(f: &mut Fields<'_>, name: &'static str, place: Place<'_>) -> Result<Option<Vec<ScrapeProtocol>>, Error> {
        // Null counts as missing; an empty list is an error, since no format could be asked for.
        if f.value(name).is_none() {
            return Ok(None);
        }
        let texts = f.texts(name)?;
        let refuse = |message: String| f.refuse(name, format!("{message} for {place}"));
        if texts.is_empty() {
            return Err(refuse("scrape_protocols cannot be empty".to_owned()));
        }
        let mut protocols = Vec::new();
        for text in &texts {
            let one = match parse(text) {
                Ok(one) => one,
                Err(error) => {
                    f.source.report(refuse(format!("scrape_protocols: {error}")))?;
                    continue;
                }
            };
            // In an Accept header a second mention would only get another weight.
            if protocols.contains(&one) {
                return Err(refuse(format!("duplicated protocol in scrape_protocols, got [{}]", texts.join(" "))));
            }
            protocols.push(one);
        }
        Ok(Some(protocols))
    }

    fn yaml(protocols: &[ScrapeProtocol]) -> Yaml {
        Yaml::texts(protocols.iter().map(|protocol| protocol.as_str()))
    }
}

impl Codec<Vec<ScrapeProtocol>> for Protocols {
    type Args<'a> = Place<'a>;

    fn decode(f: &mut Fields<'_>, name: &'static str, place: Place<'_>) -> Result<Option<Vec<ScrapeProtocol>>, Error> {
        Self::read(f, name, place)
    }

    fn is_zero(protocols: &Vec<ScrapeProtocol>) -> bool {
        protocols.is_empty()
    }

    fn encode(protocols: &Vec<ScrapeProtocol>) -> Yaml {
        Self::yaml(protocols)
    }

    fn shape() -> Shape {
        Shape::list(words())
    }
}

impl Codec<Option<Vec<ScrapeProtocol>>> for Protocols {
    type Args<'a> = Place<'a>;

    fn decode(
        f: &mut Fields<'_>,
        name: &'static str,
        place: Place<'_>,
    ) -> Result<Option<Option<Vec<ScrapeProtocol>>>, Error> {
        Ok(Self::read(f, name, place)?.map(Some))
    }

    fn is_zero(protocols: &Option<Vec<ScrapeProtocol>>) -> bool {
        protocols.is_none()
    }

    fn encode(protocols: &Option<Vec<ScrapeProtocol>>) -> Yaml {
        Self::yaml(protocols.as_deref().unwrap_or_default())
    }

    fn shape() -> Shape {
        Shape::list(words())
    }
}

/// One format.
pub(crate) enum Protocol {}

impl Codec<Option<ScrapeProtocol>> for Protocol {
    type Args<'a> = Place<'a>;

    fn decode(
        f: &mut Fields<'_>,
        name: &'static str,
        place: Place<'_>,
    ) -> Result<Option<Option<ScrapeProtocol>>, Error> {
        let Some(text) = f.text(name)?.filter(|text| !text.is_empty()) else { return Ok(None) };
        let protocol = parse(&text);
        protocol.map(|p| Some(Some(p))).map_err(|error| f.refuse(name, format!("invalid {name} for {place}: {error}")))
    }

    fn is_zero(protocol: &Option<ScrapeProtocol>) -> bool {
        protocol.is_none()
    }

    fn encode(protocol: &Option<ScrapeProtocol>) -> Yaml {
        Yaml::text(protocol.map_or("", ScrapeProtocol::as_str))
    }

    fn shape() -> Shape {
        words()
    }
}

fn words() -> Shape {
    Shape::Words(ScrapeProtocol::ALL.iter().map(|protocol| protocol.as_str()).collect())
}

fn parse(text: &str) -> Result<ScrapeProtocol, String> {
    ScrapeProtocol::ALL.into_iter().find(|protocol| protocol.as_str() == text).ok_or_else(|| {
        let known: Vec<&str> = ScrapeProtocol::ALL.iter().map(|protocol| protocol.as_str()).collect();
        format!("unknown scrape protocol {text}, supported: [{}]", known.join(" "))
    })
}
