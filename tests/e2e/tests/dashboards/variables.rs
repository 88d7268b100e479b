//! The values of a dashboard's variables, found as Grafana does it.

use serde_json::Value;

use crate::world::World;

/// `name=value` of each, by asking the servers in the order of the dashboard: the first option, or all where that is offered.
///
/// # Errors
/// When the servers have other options, or a variable is of a kind that is not known.
pub fn values(dashboard: &Value, world: &World) -> Result<Vec<String>, String> {
    let mut known: Vec<(String, String)> = Vec::new();
    for variable in dashboard["templating"]["list"].as_array().into_iter().flatten() {
        let name = variable["name"].as_str().unwrap();
        let text = variable["query"].as_str().or_else(|| variable["query"]["query"].as_str()).unwrap_or_default();
        let options = match variable["type"].as_str().unwrap() {
            "datasource" => continue,
            "query" => options(&filled(text, &known), world)?,
            "custom" | "interval" => text.split(',').map(|option| option.trim().to_owned()).collect(),
            "constant" | "textbox" => vec![text.to_owned()],
            other => return Err(format!("{name}: a variable of the kind {other}")),
        };
        // Panels are repeated for each value where they do not match by a regular expression.
        let is_repeated = dashboard.to_string().contains(&format!("=\\\"${name}\\\""));
        known.push((name.to_owned(), value(variable, &options, is_repeated)));
    }
    Ok(known.into_iter().map(|(name, value)| format!("{name}={value}")).collect())
}

/// What a variable stands for in a query.
fn value(variable: &Value, options: &[String], is_repeated: bool) -> String {
    let all = variable["allValue"].as_str().unwrap_or_default();
    let has_all = variable["includeAll"] == true && !is_repeated;
    match options {
        _ if has_all && !all.is_empty() => all.to_owned(),
        [_, _, ..] if has_all => {
            let quoted: Vec<String> = options.iter().map(|option| option.replace('.', "\\\\.")).collect();
            format!("({})", quoted.join("|"))
        }
        [first, ..] => first.clone(),
        [] => String::new(),
    }
}

/// A query of a variable, with the variables before it.
fn filled(text: &str, known: &[(String, String)]) -> String {
    let mut text = text.to_owned();
    // The longest first, or `$job` would stand for the beginning of `$job_name`.
    let mut known: Vec<_> = known.iter().collect();
    known.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
    for (name, value) in known {
        text = text.replace(&format!("${{{name}}}"), value).replace(&format!("${name}"), value);
    }
    text
}

fn options(query: &str, world: &World) -> Result<Vec<String>, String> {
    let inner = |function: &str| query.trim().strip_prefix(function)?.strip_suffix(')');
    let path = if let Some(inner) = inner("label_values(") {
        // What selects has commas of its own: the label is behind the last one.
        let (selector, label) = inner.rsplit_once(',').map_or(("", inner), |(selector, label)| (selector, label));
        let [start, end] = world.times.bounds();
        let matched = if selector.trim().is_empty() { vec![] } else { vec![("match[]", selector.trim())] };
        let pairs = [vec![("start", start.as_str()), ("end", end.as_str())], matched].concat();
        let pairs = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        format!("label/{}/values?{pairs}", label.trim())
    } else if let Some(inner) = inner("query_result(") {
        let pairs = [("query", inner), ("time", &*world.times.bounds()[1])];
        format!("query?{}", url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish())
    } else {
        return Err(format!("{query}: not known"));
    };
    let [ours, theirs] = [&world.weft.http, &world.prometheus.http].map(|http| http.api(&path));
    let (ours, theirs) = (ours?, theirs?);
    if ours != theirs {
        return Err(format!("{query}: Weft has {ours}, Prometheus {theirs}"));
    }
    let texts = ours.as_array().into_iter().flatten();
    Ok(texts.map(|text| text.as_str().map_or_else(|| text.to_string(), str::to_owned)).collect())
}
