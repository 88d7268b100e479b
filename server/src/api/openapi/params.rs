//! Parameters that several endpoints take, or that are many.

use super::endpoint::{Kind, Param, needs, takes};

use Kind::{Duration, Switch, Text, Texts, Time, Whole, Word};

pub(super) const QUERY: &[Param] = &[needs("query", Text, "A PromQL expression.")];
pub(super) const AT: &[Param] = &[takes("time", Time, "When it is evaluated; now by default.")];
pub(super) const STEPS: &[Param] = &[
    needs("start", Time, "The first time at which it is evaluated."),
    needs("end", Time, "The last time."),
    needs("step", Duration, "From one time to the next; at most 11,000 steps."),
];
pub(super) const EVALUATION: &[Param] = &[
    takes("limit", Whole, "The most series of an answer; 0 for all."),
    takes("timeout", Duration, "How long it may take; at most `--query.timeout`."),
    takes("lookback_delta", Duration, "How old a sample may be to count at a time."),
    takes("stats", Word(&["true", "all"]), "Show how long it took and how many samples it read; `all`: for each step."),
    takes(
        "explain",
        Word(&["true", "false", "analyze"]),
        "Show the plan instead of evaluating it; `analyze`: beside the result.",
    ),
    takes("analyze", Switch, "Show beside the result what each node of the plan cost."),
];
pub(super) const COST: &[Param] = &[
    takes(
        "cost",
        Switch,
        "Show the estimate beside what it really cost. As the next three, with `--enable-feature=query-cost`.",
    ),
    takes("max_series", Whole, "Fail where selectors find more series; not above the server's own limit."),
    takes("max_samples_read", Whole, "Fail where more samples are read."),
    takes("max_query_duration", Duration, "Fail where it takes longer."),
];
pub(super) const RANGE: &[Param] = &[
    takes("start", Time, "Only what has samples from here on."),
    takes("end", Time, "Only what has samples up to here."),
];
pub(super) const MATCH: &[Param] = &[takes("match[]", Texts, "A series selector; several are united.")];
pub(super) const MUST_MATCH: &[Param] = &[needs("match[]", Texts, "A series selector; several are united.")];
pub(super) const LIMIT: &[Param] = &[takes("limit", Whole, "The most items; 0 for all.")];
pub(super) const SEARCH: &[Param] = &[
    takes("search[]", Texts, "What to look for, at most 32 terms of which any fits."),
    takes("fuzz_threshold", Whole, "How well a name must fit, from 0 to 100."),
    takes("fuzz_alg", Word(&["subsequence", "jarowinkler"]), "How that is judged."),
    takes("case_sensitive", Switch, "True by default."),
    takes("sort_by", Word(&["alpha", "score"]), "By name, or the best first."),
    takes("sort_dir", Word(&["asc", "dsc"]), "With `sort_by=alpha`."),
    takes("include_score", Switch, "Show how well each fits."),
    takes("start", Time, "An hour ago by default."),
    takes("end", Time, "Now by default."),
    takes("limit", Whole, "The most results, 100 by default; at most `--web.search.max-limit`."),
    takes("batch_size", Whole, "The most results of a line."),
];
pub(super) const REPLAYED: &[Param] = &[
    takes("start", Time, "A day before the end by default."),
    takes("end", Time, "Now by default."),
    takes("limit", Whole, "The most firings that are listed of a rule."),
    takes("timeout", Duration, "How long it may take; at most `--query.timeout`."),
    takes("rules", Texts, "Rule files as text, in place of the configured ones."),
    takes("rules_name", Texts, "Their names."),
];
pub(super) const WHICH_RULES: &[Param] = &[
    takes("type", Word(&["alert", "record"]), "Only rules of this kind."),
    takes("rule_name[]", Texts, "Only rules with one of these names."),
    takes("rule_group[]", Texts, "Only groups with one of these names."),
    takes("file[]", Texts, "Only groups of one of these files."),
    takes("match[]", Texts, "Only rules whose own labels fit one of these selectors."),
    takes("exclude_alerts", Switch, "Leave the alerts out."),
    takes("group_limit", Whole, "The most groups of an answer."),
    takes("group_next_token", Text, "Where the answer before ended; needs `group_limit`."),
];
pub(super) const POOL: &[Param] = &[needs("scrapePool", Text, "The name of the job.")];
