//! `alert_rule_test`: which alerts of a name fire, with which labels and annotations.

use std::collections::BTreeMap;

use ::config::{AlertTest, ExpectedAlert};
use ::rules::{Alert, AlertState, Simulation};
use model::duration::format_duration_ms;

use super::diff::{Tree, diff};
use super::labels::braced;

const ALERT_NAME: &str = "alertname";
/// How far the lines of an alert are indented.
const INDENT: &str = "            ";

/// An alert, expected or firing. Its order is that of labels, then annotations.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Shown {
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

/// What differs from what is expected, in upstream's words.
pub(super) fn check(test: &AlertTest, simulation: &Simulation, (name, with_diff): (&str, bool)) -> Option<String> {
    let mut expected: Vec<_> = test.exp_alerts.iter().map(|alert| Shown::expected(alert, &test.alertname)).collect();
    let alerts = simulation.alerts(&test.alertname);
    let mut got: Vec<_> = alerts.iter().filter(|alert| alert.state == AlertState::Firing).map(Shown::got).collect();
    expected.sort();
    got.sort();
    if expected == got {
        return None;
    }
    let name = if name.is_empty() { String::new() } else { format!("    name: {name},\n") };
    let (alert, time) = (&test.alertname, format_duration_ms(test.eval_time_ms));
    let head = format!("{name}    alertname: {alert}, time: {time}, \n");
    Some(if with_diff {
        let difference = diff(&tree(expected), &tree(got));
        format!("{head}        diff: {}", indented(&difference))
    } else {
        format!("{head}        exp:{}, \n        got:{}", list(&expected), list(&got))
    })
}

impl Shown {
    fn expected(alert: &ExpectedAlert, name: &str) -> Self {
        let mut labels = alert.exp_labels.clone();
        labels.insert(ALERT_NAME.to_owned(), name.to_owned());
        let mut annotations = alert.exp_annotations.clone();
        // An alert has no annotation whose template yields nothing.
        annotations.retain(|_, text| !text.is_empty());
        Self { labels, annotations }
    }

    fn got(alert: &Alert) -> Self {
        let map =
            |labels: &model::Labels| labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Self { labels: map(&alert.labels), annotations: map(&alert.annotations) }
    }

    fn tree(self) -> Tree {
        let object = |pairs: BTreeMap<String, String>| {
            Tree::Object(pairs.into_iter().map(|(name, value)| (name, Tree::Text(value))).collect())
        };
        let parts = [("Annotations", object(self.annotations)), ("Labels", object(self.labels))];
        Tree::Object(parts.into_iter().map(|(name, part)| (name.to_owned(), part)).collect())
    }
}

/// No alert is compared as one without anything, as upstream does.
fn tree(alerts: Vec<Shown>) -> Tree {
    let alerts = if alerts.is_empty() { vec![Shown::default()] } else { alerts };
    Tree::List(alerts.into_iter().map(Shown::tree).collect())
}

fn list(alerts: &[Shown]) -> String {
    if alerts.is_empty() {
        return "[]".to_owned();
    }
    let pairs = |labels: &BTreeMap<String, String>| braced(labels.iter().map(|(name, value)| (&**name, &**value)));
    let alert = |(i, alert): (usize, &Shown)| {
        format!("{i}:\n  Labels:{}\n  Annotations:{}", pairs(&alert.labels), pairs(&alert.annotations))
    };
    let alerts: Vec<String> = alerts.iter().enumerate().map(alert).collect();
    indented(&format!("[\n{}\n]", alerts.join(",\n")))
}

/// Indents all lines but the first.
fn indented(text: &str) -> String {
    text.replace('\n', &format!("\n{INDENT}"))
}
