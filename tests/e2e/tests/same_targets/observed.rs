//! What a server keeps of a case, in comparable form.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use kit::Http;
use serde_json::Value;

use crate::recorder::{BROKEN, PAGES, REFUSED};

/// When a sample is: that of a page, or a time that its target told, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    At(i64),
    Page(usize),
}

pub type Samples = Vec<(Place, Value)>;
type ByLabels = BTreeMap<String, Samples>;

#[derive(Debug)]
pub struct Observed {
    /// All samples up to the last page.
    series: ByLabels,
    /// What an instant query finds at the time of some pages.
    instants: ByLabels,
    exemplars: ByLabels,
    /// Type, unit and help by family, as the target's own metadata has it.
    metadata: ByLabels,
}

/// What one of the servers has of a series and the other has not.
#[derive(Debug)]
pub struct Difference {
    pub what: &'static str,
    pub labels: String,
    pub ours: Samples,
    pub theirs: Samples,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.what, self.labels)?;
        for (who, samples) in [("ours", &self.ours), ("theirs", &self.theirs)] {
            for (place, value) in samples {
                write!(f, "\n    only {who}: {place:?}: {value}")?;
            }
        }
        Ok(())
    }
}

/// The times of the pages, milliseconds. What has a time of its own was recorded before the first.
struct Times(Vec<i64>);

impl Times {
    /// Before the first page no body has a size.
    fn of(http: &Http, case: &str) -> Self {
        let sizes = query(http, &[("query", &format!("scrape_body_size_bytes{{job=\"{case}\"}}[1h]"))]);
        let samples = sizes[0]["values"].as_array().unwrap();
        let pages = samples.iter().skip_while(|sample| sample[1] == "0").take(PAGES);
        let pages: Vec<i64> = pages.map(|sample| ms(&sample[0])).collect();
        assert_eq!(pages.len(), PAGES, "{case}: {sizes}");
        Self(pages)
    }

    /// `None` is after the last page.
    fn place(&self, time: &Value) -> Option<Place> {
        let time = ms(time);
        if time < self.0[0] {
            return Some(Place::At(time));
        }
        self.0.iter().position(|page| *page == time).map(Place::Page)
    }
}

/// Is it one of the series that tell of the scrape?
fn is_report(metric: &Value) -> bool {
    let name = metric["__name__"].as_str().unwrap_or_default();
    name == "up" || name.starts_with("scrape_")
}

#[expect(clippy::cast_possible_truncation, reason = "times of today fit")]
fn ms(time: &Value) -> i64 {
    (time.as_f64().unwrap() * 1000.0).round() as i64
}

fn query(http: &Http, form: &[(&str, &str)]) -> Value {
    let (_, body) = http.post("/api/v1/query", form).unwrap();
    let mut answer: Value = serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}"));
    assert_eq!(answer["status"], "success", "{form:?}: {answer}");
    answer["data"]["result"].take()
}

fn labels(metric: &Value) -> String {
    let sorted: BTreeMap<_, _> = metric.as_object().unwrap().iter().collect();
    serde_json::to_string(&sorted).unwrap()
}

/// The value of a sample; of how long a scrape took, only that there is one.
fn value(labels: &str, value: &Value) -> Value {
    if labels.contains("\"__name__\":\"scrape_duration_seconds\"") { "some".into() } else { value.clone() }
}

impl Observed {
    pub fn of(http: &Http, case: &str) -> Self {
        let times = Times::of(http, case);
        let selector = format!("{{case=\"{case}\"}}");
        let mut series = BTreeMap::new();
        for one in query(http, &[("query", &format!("{selector}[1h]"))]).as_array().unwrap() {
            let labels = labels(&one["metric"]);
            let samples = ["values", "histograms"].into_iter().filter_map(|field| one[field].as_array()).flatten();
            let placed = samples.filter_map(|one| Some((times.place(&one[0])?, value(&labels, &one[1]))));
            let mut placed: Vec<_> = placed.collect();
            placed.retain(|(place, _)| !is_report(&one["metric"]) || matches!(place, Place::Page(_)));
            placed.sort_by_key(|(place, _)| *place);
            assert!(series.insert(labels, placed).is_none(), "a series twice: {one}");
        }
        let mut instants = ByLabels::new();
        for page in [REFUSED, BROKEN, PAGES - 1] {
            let time = times.0[page];
            let time = format!("{}.{:03}", time / 1000, time % 1000);
            for one in query(http, &[("query", &selector), ("time", &time)]).as_array().unwrap() {
                let labels = labels(&one["metric"]);
                let sample = if one["value"].is_array() { &one["value"][1] } else { &one["histogram"][1] };
                let value = value(&labels, sample);
                instants.entry(labels).or_default().push((Place::Page(page), value));
            }
        }
        let exemplars = exemplars(http, &selector, &times);
        let metadata = metadata(http, &selector);
        Self { series, instants, exemplars, metadata }
    }

    pub fn series(&self) -> usize {
        self.series.len()
    }

    pub fn exemplars(&self) -> usize {
        self.exemplars.values().map(Vec::len).sum()
    }

    /// What differs, series by series.
    pub fn differences(&self, theirs: &Self) -> Vec<Difference> {
        let parts = [
            ("series", &self.series, &theirs.series),
            ("instant", &self.instants, &theirs.instants),
            ("exemplars", &self.exemplars, &theirs.exemplars),
            ("metadata", &self.metadata, &theirs.metadata),
        ];
        let found = parts.into_iter().flat_map(|(what, ours, theirs)| between(what, ours, theirs));
        found.filter(|difference| !self.may_be_forgotten(difference)).collect()
    }

    /// Is it about metadata of a family that one of the two does not have, and that is not on the last page? Both forget it ten
    /// scrapes after it was last exposed, and how many each has made by now is up to the load of the machine.
    fn may_be_forgotten(&self, difference: &Difference) -> bool {
        let is_last = |samples: &Samples| samples.iter().any(|(place, _)| *place == Place::Page(PAGES - 1));
        let series = format!("\"__name__\":{}", difference.labels.trim_end_matches('"'));
        let is_exposed = || self.instants.iter().any(|(labels, samples)| labels.contains(&series) && is_last(samples));
        difference.what == "metadata" && (difference.ours.is_empty() || difference.theirs.is_empty()) && !is_exposed()
    }
}

fn between(what: &'static str, ours: &ByLabels, theirs: &ByLabels) -> Vec<Difference> {
    let none = Samples::new();
    let mut found = Vec::new();
    for labels in ours.keys().chain(theirs.keys()).collect::<BTreeSet<_>>() {
        let [mut ours, mut theirs] = [ours, theirs].map(|all| all.get(labels).unwrap_or(&none).clone());
        if ours != theirs {
            let both: Samples = ours.iter().filter(|one| theirs.contains(one)).cloned().collect();
            // Where they have the same ones in another order, all are shown.
            if both.len() < ours.len() || both.len() < theirs.len() {
                ours.retain(|one| !both.contains(one));
                theirs.retain(|one| !both.contains(one));
            }
            found.push(Difference { what, labels: labels.clone(), ours, theirs });
        }
    }
    found
}

fn exemplars(http: &Http, selector: &str, times: &Times) -> ByLabels {
    let end = (times.0[PAGES - 1] / 1000 + 60).to_string();
    let start = (times.0[0] / 1000 - 3600).to_string();
    let (_, body) =
        http.post("/api/v1/query_exemplars", &[("query", selector), ("start", &start), ("end", &end)]).unwrap();
    let answer: Value = serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}"));
    assert_eq!(answer["status"], "success", "{answer}");
    let mut all = BTreeMap::new();
    for one in answer["data"].as_array().unwrap() {
        let mut placed = Vec::new();
        for exemplar in one["exemplars"].as_array().unwrap() {
            let said = serde_json::json!([exemplar["labels"], exemplar["value"]]);
            placed.extend(times.place(&exemplar["timestamp"]).map(|place| (place, said)));
        }
        placed.sort_by_key(|(place, _)| *place);
        if !placed.is_empty() {
            all.insert(labels(&one["seriesLabels"]), placed);
        }
    }
    all
}

/// At the last page.
fn metadata(http: &Http, selector: &str) -> ByLabels {
    let selector: String = url::form_urlencoded::byte_serialize(selector.as_bytes()).collect();
    let data = http.api(&format!("targets/metadata?match_target={selector}")).unwrap();
    let entry = |entry: &Value| {
        let said = ["type", "unit", "help"].map(|field| entry[field].clone()).to_vec();
        (entry["metric"].to_string(), vec![(Place::Page(PAGES - 1), said.into())])
    };
    data.as_array().unwrap().iter().map(entry).collect()
}
