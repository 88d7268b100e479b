//! A rule group.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use super::checks::{RuleOptions, check_names, invalid, is_label_name};
use super::rule::{Rule, RuleContext};
use crate::Error;
use crate::schema::{Codec, Duration, Fields, Int, Nonzero, Nulls, Section as _, Shape, Text, TextMap, items, section};
use crate::yaml::Yaml;

section! {
    /// Rules that are evaluated one after another, at the same time.
    #[derive(Clone, Debug, PartialEq, Eq, Hash)]
    pub struct RuleGroup as "rule_group" in (context: GroupContext<'c>) {
        /// No two groups of a file have the same.
        #[yaml(Text; required = "Groupname must not be empty")]
        pub name: String,
        /// The time from one evaluation to the next.
        #[yaml(Nonzero<Duration>, name = "interval", inherited = None => "`global.evaluation_interval`")]
        pub interval_ms: Option<i64>,
        /// Expressions are evaluated at the time this long ago, so that late samples are seen.
        #[yaml(Duration, name = "query_offset", inherited = None => "`global.rule_query_offset`")]
        pub query_offset_ms: Option<i64>,
        /// How many series or alerts a rule may return; a rule that returns more fails. 0 is no limit.
        #[yaml(Int)]
        pub limit: i64,
        /// Labels of all rules; those of a rule override them.
        #[yaml(TextMap)]
        pub labels: BTreeMap<String, String>,
        /// A recording rule that is new is also evaluated for times up to this long ago.
        #[yaml(Nonzero<Duration>, name = "backfill"; ours)]
        pub backfill_ms: Option<i64>,
        /// The rules.
        #[yaml(Rules, with = (context.options, name.as_str()))]
        pub rules: Vec<Rule>,
    }
    check_always = check_group;
}

/// What groups of a file depend on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GroupContext<'a> {
    pub(super) options: &'a RuleOptions<'a>,
    /// The names of the groups so far.
    pub(super) names: &'a RefCell<BTreeSet<String>>,
}

fn check_group(group: &mut RuleGroup, f: &mut Fields<'_>, context: GroupContext<'_>) -> Result<(), Error> {
    // A nil pointer upstream: null does not mean 0, which would override the offset of `global`.
    if f.is_null("query_offset") {
        group.query_offset_ms = None;
    }
    if !group.name.is_empty() && !context.names.borrow_mut().insert(group.name.clone()) {
        let message = format!("groupname: \"{}\" is repeated in the same file", group.name);
        f.source.report(invalid(f, &[f.pos], "", message))?;
    }
    check_names(f, ("labels", "label"), "", |name| is_label_name(context.options.names, name))
}

/// The rules of a group.
enum Rules {}

impl Codec<Vec<Rule>> for Rules {
    type Args<'a> = (&'a RuleOptions<'a>, &'a str);

    fn decode(
        f: &mut Fields<'_>,
        name: &'static str,
        (options, group): Self::Args<'_>,
    ) -> Result<Option<Vec<Rule>>, Error> {
        items(f, name, Nulls::AreSkipped, |idx| RuleContext { options, group, idx })
    }

    fn is_zero(rules: &Vec<Rule>) -> bool {
        rules.is_empty()
    }

    fn encode(rules: &Vec<Rule>) -> Yaml {
        Yaml::List(rules.iter().map(|rule| rule.to_map()).collect())
    }

    fn shape() -> Shape {
        Shape::list(Shape::Section(Rule::describe()))
    }
}

/// The groups of a file.
pub(super) enum Groups {}

impl Codec<Vec<RuleGroup>> for Groups {
    type Args<'a> = &'a RuleOptions<'a>;

    fn decode(
        f: &mut Fields<'_>,
        name: &'static str,
        options: &RuleOptions<'_>,
    ) -> Result<Option<Vec<RuleGroup>>, Error> {
        let names = RefCell::default();
        items(f, name, Nulls::AreSkipped, |_| GroupContext { options, names: &names })
    }

    fn is_zero(groups: &Vec<RuleGroup>) -> bool {
        groups.is_empty()
    }

    fn encode(groups: &Vec<RuleGroup>) -> Yaml {
        Yaml::List(groups.iter().map(|group| group.to_map()).collect())
    }

    fn shape() -> Shape {
        Shape::list(Shape::Section(RuleGroup::describe()))
    }
}
