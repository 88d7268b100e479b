//! The `global` section: what jobs and rules inherit.

use std::path::PathBuf;

use model::{Labels, NameValidation};

use crate::Error;
use crate::limits::ScrapeLimits;
use crate::names::{EscapingScheme, ValidationScheme};
use crate::protocol::{Place, Protocols, ScrapeProtocol};
use crate::schema::{
    Bool, Codec, Count, Duration, Fields, Inline, Nonzero, OptionalBool, Path, Section as _, Shape, section,
};
use crate::yaml::Yaml;

const SCRAPE_TIMEOUT_MS: i64 = 10_000;

/// Told once `global` has faults: what jobs inherit is then not what the file says.
pub(crate) const FAULTY: &str = "global has faults";

section! {
    /// What jobs and rules inherit.
    #[derive(Clone, Debug, PartialEq)]
    pub struct GlobalConfig as "global" in (defaults: &'c Defaults) {
        /// The time from one scrape of a target to the next.
        #[yaml(Nonzero<Duration>, name = "scrape_interval", default = 60_000)]
        pub scrape_interval_ms: i64,
        /// How long a scrape may take; at most `scrape_interval`.
        #[yaml(
            Nonzero<Duration>,
            name = "scrape_timeout",
            inherited = SCRAPE_TIMEOUT_MS.min(scrape_interval_ms) => "10s, or `scrape_interval` if that is less"
        )]
        pub scrape_timeout_ms: i64,
        /// The formats to ask for, the preferred one first.
        #[yaml(
            Protocols,
            with = Place::Global,
            inherited = defaults.scrape_protocols.clone() => "text formats, and protobuf first if native histograms are scraped"
        )]
        pub scrape_protocols: Option<Vec<ScrapeProtocol>>,
        /// The time from one evaluation of a rule group to the next.
        #[yaml(Nonzero<Duration>, name = "evaluation_interval", default = 60_000)]
        pub evaluation_interval_ms: i64,
        /// Rules are evaluated at the time this long ago, so that late samples are seen.
        #[yaml(Duration, name = "rule_query_offset")]
        pub rule_query_offset_ms: i64,
        /// The file in which queries are logged.
        #[yaml(Path)]
        pub query_log_file: Option<PathBuf>,
        /// How many series a query may select, 0 for any number; needs `--enable-feature=query-cost`.
        #[yaml(Count)]
        pub query_max_series: u64,
        /// How many samples a query may read, 0 for any number; needs `--enable-feature=query-cost`.
        #[yaml(Count)]
        pub query_max_samples_read: u64,
        /// How long a query may take instead of `--query.timeout`; needs `--enable-feature=query-cost`.
        #[yaml(Duration, name = "query_max_duration")]
        pub query_max_duration_ms: u64,
        /// The file in which failed scrapes are logged.
        #[yaml(Path)]
        pub scrape_failure_log_file: Option<PathBuf>,
        /// Labels added to every sample and alert that another system gets: by federation, remote read or write, or as an
        /// Alertmanager. `$NAME` and `${NAME}` are replaced by environment variables, `$$` by `$`.
        #[yaml(ExternalLabelsCodec)]
        pub external_labels: ExternalLabels,
        /// The limits of a scrape.
        #[yaml(Inline<ScrapeLimits>, with = &ScrapeLimits::default())]
        pub limits: ScrapeLimits,
        /// Which names of metrics and labels are valid: all, or those of letters, digits, `_` and `:`.
        #[yaml(ValidationScheme, name = "metric_name_validation_scheme", default = NameValidation::Utf8)]
        pub name_validation: NameValidation,
        /// What names become for a target that does not know UTF-8 names; by default `allow-utf-8` or `underscores`, as
        /// `metric_name_validation_scheme` is `utf8` or `legacy`.
        #[yaml(EscapingScheme, name = "metric_name_escaping_scheme")]
        pub name_escaping: String,
        /// Scrape native histograms.
        #[yaml(OptionalBool, default = false; always)]
        pub scrape_native_histograms: bool,
        /// Convert classic histograms to native ones with custom buckets.
        #[yaml(Bool)]
        pub convert_classic_histograms_to_nhcb: bool,
        /// Store the classic form of a native histogram, too.
        #[yaml(Bool)]
        pub always_scrape_classic_histograms: bool,
        /// Store `scrape_timeout_seconds`, `scrape_sample_limit` and `scrape_body_size_bytes` for each target.
        #[yaml(OptionalBool, inherited = defaults.extra_scrape_metrics => "false"; always)]
        pub extra_scrape_metrics: bool,
    }
    check_always = check_global;
}

/// The defaults of `global` that flags of the command line change.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Defaults {
    /// Of `scrape_protocols`.
    pub scrape_protocols: Option<Vec<ScrapeProtocol>>,
    /// Of `extra_scrape_metrics`.
    pub extra_scrape_metrics: bool,
}

impl GlobalConfig {
    /// What holds if the section is missing as a whole. Only then the escaping is set, as in Prometheus.
    pub(crate) fn of_missing(defaults: &Defaults) -> Self {
        Self { name_escaping: "allow-utf-8".to_owned(), ..Self::defaults(defaults) }
    }
}

impl Default for GlobalConfig {
    fn default() -> Self {
        Self::of_missing(&Defaults::default())
    }
}

fn check_global(global: &mut GlobalConfig, f: &mut Fields<'_>, _: &Defaults) -> Result<(), Error> {
    // By default the timeout is the lesser of 10s and the interval, so this is about a timeout that the file sets.
    let is_sound = f.are_sound(&["scrape_interval", "scrape_timeout"]);
    if is_sound && global.scrape_timeout_ms > global.scrape_interval_ms {
        f.source.report(f.refuse("scrape_timeout", "global scrape timeout greater than scrape interval"))?;
    }
    if !f.is_sound() {
        f.source.tell_once(FAULTY);
    }
    // By the printed form, so a label whose value became empty is checked, too.
    let names = global.external_labels.printed.iter().map(|(name, _)| name);
    for bad in names.filter(|name| !global.name_validation.is_label_name(name)) {
        f.source.report(f.refuse("external_labels", format!("{bad:?} is not a valid label name")))?;
    }
    Ok(())
}

/// The section: where it is missing as a whole, the defaults hold as they are.
pub(crate) enum Global {}

impl Codec<GlobalConfig> for Global {
    type Args<'a> = &'a Defaults;

    fn decode(f: &mut Fields<'_>, name: &'static str, defaults: &Defaults) -> Result<Option<GlobalConfig>, Error> {
        match f.fields(name) {
            Ok(inner) => inner.map(|mut inner| GlobalConfig::decode(&mut inner, defaults)).transpose(),
            Err(error) => {
                f.source.tell_once(FAULTY);
                Err(error)
            }
        }
    }

    fn is_zero(_: &GlobalConfig) -> bool {
        false
    }

    fn encode(global: &GlobalConfig) -> Yaml {
        global.to_map()
    }

    fn shape() -> Shape {
        Shape::Section(GlobalConfig::describe())
    }
}

/// External labels with the environment filled in.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ExternalLabels {
    labels: Labels,
    /// As they are printed: by name, empty values included.
    printed: Vec<(String, String)>,
}

impl ExternalLabels {
    /// All of them by name, also those without a value, which federation adds as they are.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.printed.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl std::ops::Deref for ExternalLabels {
    type Target = Labels;

    fn deref(&self) -> &Labels {
        &self.labels
    }
}

enum ExternalLabelsCodec {}

impl Codec<ExternalLabels> for ExternalLabelsCodec {
    type Args<'a> = ();

    fn decode(f: &mut Fields<'_>, name: &'static str, (): ()) -> Result<Option<ExternalLabels>, Error> {
        let source = f.source;
        let lookup = &mut |name: &str| {
            // Empty and unset are alike, as upstream's `os.Expand` warning has it.
            (source.env)(name).filter(|value| !value.is_empty()).unwrap_or_else(|| {
                source.warn(format!("global.external_labels: the environment variable {name} is empty or not set"));
                String::new()
            })
        };
        let labels = f.text_map(name)?.into_iter();
        let printed: Vec<_> = labels.map(|(name, value)| (name, expand(&value, lookup))).collect();
        // A label set holds no empty values; the printed form keeps them, since the file has them.
        let labels = Labels::from_pairs(printed.iter().map(|(name, value)| (name, value)));
        Ok(Some(ExternalLabels { labels, printed }))
    }

    fn is_zero(labels: &ExternalLabels) -> bool {
        labels.printed.is_empty()
    }

    fn encode(labels: &ExternalLabels) -> Yaml {
        Yaml::map(labels.printed.iter().map(|(name, value)| (name, Yaml::text(value))))
    }

    fn shape() -> Shape {
        Shape::Map(Box::new(Shape::Scalar("string")))
    }
}

/// Replaces `$NAME`, `${NAME}` and `$$`, as Go's `os.Expand` does.
fn expand(text: &str, lookup: &mut dyn FnMut(&str) -> String) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let (name, tail) = shell_name(after);
        match name {
            // A dollar sign before anything that is no name stays.
            None => out.push('$'),
            // `${}`, and `${` that nothing closes, are dropped.
            Some("") => {}
            // `$$` is the name of the shell's process id, which upstream uses as the escape.
            Some("$") => out.push('$'),
            Some(name) => out.push_str(&lookup(name)),
        }
        rest = tail;
    }
    out + rest
}

/// The name at the beginning of what follows a dollar sign, if there is one, and what follows the name.
fn shell_name(text: &str) -> (Option<&str>, &str) {
    if let Some(inner) = text.strip_prefix('{') {
        return match inner.split_once('}') {
            Some((name, tail)) => (Some(name), tail),
            None => (Some(""), inner),
        };
    }
    // One character, whatever follows it: `$12` is the variable `1` and then a 2.
    let is_special = text.starts_with(|c: char| c.is_ascii_digit() || "*#$@!?-".contains(c));
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let end = if is_special { 1 } else { text.find(|c| !is_word(c)).unwrap_or(text.len()) };
    let (name, tail) = text.split_at(end);
    (Some(name).filter(|name| !name.is_empty()), tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recorded from `os.Expand` of Go 1.26 with upstream's lookup of `$`.
    #[test]
    fn the_environment_is_filled_in_as_go_does() {
        for (text, expected) in [
            ("plain", "plain"),
            ("a$B-${C}d$$e$", "a<B>-<C>d$e$"),
            ("$1x $12 $0x1", "<1>x <1>2 <0>x1"),
            ("$* $# $@ $! $? a$-b", "<*> <#> <@> <!> <?> a<->b"),
            ("${*}x ${-} ${$} ${1a} ${-x}", "<*>x <-> $ <1a> <-x>"),
            ("$_a1- $a.b $.b $é $ x", "<_a1>- <a>.b $.b $é $ x"),
            ("${ } ${a-b} ${{}} ${a}}", "< > <a-b> <{>} <a>}"),
            ("${}x", "x"),
            ("a${", "a"),
            ("$a ${a $b", "<a> a <b>"),
        ] {
            assert_eq!(expand(text, &mut |name| format!("<{name}>")), expected, "{text}");
        }
    }
}
