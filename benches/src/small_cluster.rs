//! The pages of a small cluster, from a table: `small_cluster.txt` tells its form.

use std::fmt::Write as _;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use model::Timestamp;

use crate::pages::Pages;

const TABLE: &str = include_str!("small_cluster.txt");
const NODES: usize = 3;
const PODS: usize = 330;
const DEPLOYMENTS: usize = 100;
const NAMESPACES: usize = 20;
/// Replica sets of a deployment, old ones among them.
const REVISIONS: usize = 4;
const CONTAINERS: [&str; 2] = ["app", "proxy"];

/// How the values of a series go on.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Values {
    Counter(f64),
    Gauge(f64),
    Constant(f64),
}

/// Series that move alike.
#[derive(Debug)]
struct Family {
    /// Name and labels of each, as on the page.
    series: Vec<String>,
    values: Values,
    /// Bounds of a histogram, whose series are its buckets, its sum and its count.
    n_bounds: usize,
}

/// What is scraped at one place.
#[derive(Debug)]
pub struct Target {
    job: String,
    metrics_path: String,
    instance: String,
    labels: String,
    families: Vec<Family>,
}

/// The cluster.
#[derive(Debug)]
pub struct SmallCluster {
    targets: Arc<Vec<Target>>,
    pages: Pages,
}

impl SmallCluster {
    /// Serves its pages as long as the process lives.
    ///
    /// # Errors
    /// When no port is free.
    pub fn serve() -> Result<Self> {
        let targets = Arc::new(targets()?);
        let shown = Arc::clone(&targets);
        let pages = Pages::serve(move |path, out| {
            let index = path.trim_start_matches('/').parse::<usize>().ok();
            if let Some(target) = index.and_then(|index| shown.get(index)) {
                target.write(Timestamp::now(), out);
            }
        })?;
        Ok(Self { targets, pages })
    }

    /// How many targets there are.
    #[must_use]
    pub fn n_targets(&self) -> usize {
        self.targets.len()
    }

    /// How many series their pages have.
    #[must_use]
    pub fn n_series(&self) -> usize {
        self.targets.iter().flat_map(|target| &target.families).map(|family| family.series.len()).sum()
    }

    /// Pages that were answered.
    #[must_use]
    pub fn served(&self) -> u64 {
        self.pages.served()
    }

    /// A configuration that scrapes them at an interval, with `rules.yml` beside it.
    #[must_use]
    pub fn configuration(&self, interval: u64) -> String {
        let mut out = format!(
            "global: {{scrape_interval: {interval}s, evaluation_interval: {interval}s}}\nrule_files: [rules.yml]\nscrape_configs:\n"
        );
        for (index, target) in self.targets.iter().enumerate() {
            let Target { job, metrics_path, instance, labels, .. } = target;
            let labels = labels.replace('=', ": '").replace(',', "', ");
            // Writing to a String cannot fail.
            writeln!(
                out,
                "- {{job_name: '{job}/{index}', metrics_path: /{index}, static_configs: [{{targets: ['127.0.0.1:{}'], labels: \
                 {{job: {job}, instance: '{instance}', metrics_path: {metrics_path}, {labels}'}}}}]}}",
                self.pages.port
            )
            .ok();
        }
        out
    }
}

fn targets() -> Result<Vec<Target>> {
    let mut targets: Vec<Target> = Vec::new();
    // Where those of the section begin.
    let mut begin = 0;
    for line in TABLE.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["=", job, path, instances, labels] => {
                begin = targets.len();
                for (index, instance) in expanded(instances)?.into_iter().enumerate() {
                    targets.push(Target {
                        job: job.to_owned(),
                        metrics_path: path.to_owned(),
                        instance,
                        labels: numbered(labels, index),
                        families: Vec::new(),
                    });
                }
            }
            [names, labels, values] => {
                let of_nodes = targets.len() - begin == NODES;
                for (index, target) in targets[begin..].iter_mut().enumerate() {
                    let node = of_nodes.then_some(index);
                    let family = family(names, &numbered(labels, index), values, node);
                    target.families.push(family.with_context(|| line.to_owned())?);
                }
            }
            _ => bail!("neither a job nor a metric: {line}"),
        }
    }
    Ok(targets)
}

fn numbered(text: &str, index: usize) -> String {
    text.replace("{i}", &(index + 1).to_string())
}

/// `a|b{1..2}` as `a`, `b1`, `b2`.
fn expanded(text: &str) -> Result<Vec<String>> {
    let mut all = Vec::new();
    for part in text.split('|') {
        let Some((before, rest)) = part.split_once('{') else {
            all.push(part.to_owned());
            continue;
        };
        let (range, after) = rest.split_once('}').context("{ without }")?;
        let (first, last) = range.split_once("..").context("{ without ..")?;
        let (first, last): (usize, usize) = (first.parse()?, last.parse()?);
        all.extend((first..=last).map(|n| format!("{before}{n}{after}")));
    }
    Ok(all)
}

/// The labels of the objects of a list, of a node or of all.
fn objects(list: &str, node: Option<usize>) -> Result<Vec<String>> {
    let pods = || (0..PODS).filter(|pod| node.is_none_or(|node| pod % NODES == node));
    let deployment = |pod: usize| pod % DEPLOYMENTS;
    let namespace = |deployment: usize| format!("namespace=\"team-{}\"", deployment % NAMESPACES + 1);
    let set =
        |deployment: usize, revision: usize| format!("service-{deployment}-{:09x}", mix(deployment * 8 + revision));
    let name = |pod: usize| format!("{}-{:05x}", set(deployment(pod), 0), mix(pod) & 0xf_ffff);
    let pod = |pod: usize| format!("{},pod=\"{}\"", namespace(deployment(pod)), name(pod));
    let slice = |pod: usize| format!("/kubepods.slice/kubepods-burstable.slice/pod{:032x}.slice", mix(pod + 1_000));
    let containers = |write: &dyn Fn(usize, &str) -> String| {
        pods()
            .flat_map(|at| {
                CONTAINERS.map(|container| format!("{},container=\"{container}\"{}", pod(at), write(at, container)))
            })
            .collect()
    };
    let on_node = |pod: usize| format!(",node=\"node-{}\"", pod % NODES + 1);
    Ok(match list {
        "@pod" => pods().map(pod).collect(),
        "@podnode" => pods()
            .map(|at| {
                format!("{}{},uid=\"{:036x}\",pod_ip=\"10.1.{}.{}\"", pod(at), on_node(at), mix(at), at % 3, at / 3)
            })
            .collect(),
        "@owner" => {
            let owner = |at| format!("{},owner_kind=\"ReplicaSet\",owner_name=\"{}\"", pod(at), set(deployment(at), 0));
            pods().map(owner).collect()
        }
        "@container" => containers(&|_, _| String::new()),
        "@containernode" => containers(&|at, _| on_node(at)),
        "@cadvisor" => containers(&|at, container| {
            let id = format!("{:032x}{:032x}", mix(at), mix(at + container.len()));
            let image = format!("registry.example/{container}-{}:1.2.3", deployment(at));
            format!(",id=\"{}/cri-{id}.scope\",image=\"{image}\",name=\"{id}\"", slice(at))
        }),
        "@cgroup" => pods().map(|at| format!("{},id=\"{}\"", pod(at), slice(at))).collect(),
        "@deployment" => (0..DEPLOYMENTS).map(|at| format!("{},deployment=\"service-{at}\"", namespace(at))).collect(),
        "@replicaset" => {
            let one = |at, revision| {
                format!("{},replicaset=\"{}\",owner_name=\"service-{at}\"", namespace(at), set(at, revision))
            };
            (0..DEPLOYMENTS)
                .flat_map(|at| (0..REVISIONS).map(move |revision| (at, revision)))
                .map(|(at, revision)| one(at, revision))
                .collect()
        }
        other => bail!("there is no list {other}"),
    })
}

/// Looks like chance.
fn mix(n: usize) -> u64 {
    crate::fleet::value::mix(11, n as u64) >> 28
}

fn family(names: &str, labels: &str, values: &str, node: Option<usize>) -> Result<Family> {
    let (mut all, mut bounds) = (vec![String::new()], Vec::new());
    for part in labels.split(',').filter(|part| *part != "-") {
        let rows = match part.split_once('=') {
            None => objects(part, node)?,
            Some(("le", list)) => {
                bounds = list.split('|').map(str::to_owned).collect();
                continue;
            }
            Some((label, list)) => expanded(list)?.into_iter().map(|value| format!("{label}=\"{value}\"")).collect(),
        };
        let join = |one: &String, row: &String| if one.is_empty() { row.clone() } else { format!("{one},{row}") };
        all = all.iter().flat_map(|one| rows.iter().map(move |row| join(one, row))).collect();
    }
    let mut series = Vec::new();
    for name in expanded(names)? {
        for labels in &all {
            let comma = if labels.is_empty() { "" } else { "," };
            for bound in bounds.iter().map(String::as_str).chain((!bounds.is_empty()).then_some("+Inf")) {
                series.push(format!("{name}_bucket{{{labels}{comma}le=\"{bound}\"}} "));
            }
            let ends: &[&str] = if bounds.is_empty() { &[""] } else { &["_sum", "_count"] };
            let braced = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
            series.extend(ends.iter().map(|end| format!("{name}{end}{braced} ")));
        }
    }
    let values = match (values.strip_prefix('+'), values.strip_prefix('~')) {
        (Some(rate), _) => Values::Counter(rate.parse()?),
        (_, Some(around)) => Values::Gauge(around.parse()?),
        _ => Values::Constant(values.parse()?),
    };
    Ok(Family { series, values, n_bounds: bounds.len() })
}

impl Target {
    fn write(&self, now: Timestamp, out: &mut String) {
        for family in &self.families {
            family.write(now, out);
        }
    }
}

impl Family {
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    fn write(&self, now: Timestamp, out: &mut String) {
        let seconds = (now.0 / 1_000 % 10_000_000) as f64;
        // A histogram has its buckets, one more for what is beyond all bounds, its sum and its count.
        let of_one = if self.n_bounds == 0 { 1 } else { self.n_bounds + 3 };
        for (i, series) in self.series.iter().enumerate() {
            let (one, at) = (i / of_one, i % of_one);
            out.push_str(series);
            let share = match at {
                _ if self.n_bounds == 0 => None,
                at if at <= self.n_bounds => Some((at + 1) as f64 / (self.n_bounds + 1) as f64),
                at => Some(if at == self.n_bounds + 1 { 0.07 } else { 1.0 }),
            };
            self.values.write(one, seconds, share, out);
            out.push('\n');
        }
    }
}

impl Values {
    /// Of the i-th series; `share` is what it is of the count of a histogram.
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    fn write(self, i: usize, seconds: f64, share: Option<f64>, out: &mut String) {
        let value = match self {
            Self::Constant(value) => value,
            Self::Counter(rate) => {
                let value = 100.0 + rate * (1.0 + (i % 16) as f64 / 8.0) * seconds;
                // Counts are whole, and seconds are not.
                if rate >= 1.0 || share.is_some() { value.floor() } else { value }
            }
            Self::Gauge(value) => {
                let moved = value * (1.0 + ((i as f64 * 7.0 + seconds / 15.0 * 3.0) % 11.0) / 100.0);
                if value >= 100.0 { moved.floor() } else { moved }
            }
        };
        let value = match share {
            Some(share) if share < 0.1 => value * share,
            Some(share) => (value * share).floor(),
            None => value,
        };
        // Writing to a String cannot fail.
        write!(out, "{value}").ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cluster_has_the_size_of_the_three_nodes_of_the_articles() {
        let targets = targets().unwrap();
        let count = |target: &Target| target.families.iter().map(|family| family.series.len()).sum::<usize>();
        let n_series: usize = targets.iter().map(count).sum();
        assert!((140_000..160_000).contains(&n_series), "{n_series}");
        for target in &targets {
            let mut page = String::new();
            target.write(Timestamp(1_700_000_000_000), &mut page);
            let names: std::collections::HashSet<&str> =
                page.lines().filter_map(|line| Some(line.rsplit_once(' ')?.0)).collect();
            assert_eq!(names.len(), count(target), "each series of {} {} once", target.job, target.metrics_path);
            assert!(
                page.lines().all(|line| line.rsplit_once(' ').is_some_and(|(_, value)| value.parse::<f64>().is_ok()))
            );
        }
    }

    #[test]
    fn names_are_expanded() {
        assert_eq!(expanded("a|b{1..2}c").unwrap(), ["a", "b1c", "b2c"]);
        assert!(expanded("a{1").is_err());
    }
}
