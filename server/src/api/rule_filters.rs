//! What of the rules a request asks for: the parameters of `/api/v1/rules`.

use std::collections::HashSet;
use std::sync::Arc;

use ::rules::{Group, GroupSpec, RuleSpec, RuleStatus};
use aws_lc_rs::digest::{SHA256, digest};
use model::Matcher;
use query::Bounds;

use super::executor::in_place;
use super::params::integer;
use super::tenancy::Visible;
use super::{ApiError, Params};

/// The parameters.
pub(super) struct RuleFilters {
    rules: HashSet<String>,
    groups: HashSet<String>,
    files: HashSet<String>,
    matchers: Vec<Vec<Matcher>>,
    /// `alert` or `record`; empty: both.
    kind: String,
    excludes_alerts: bool,
    limit: Option<usize>,
    token: String,
    visible: Visible,
}

/// Groups that were asked for, each with its rules.
pub(super) struct Page<'a> {
    pub(super) groups: Vec<(&'a Group, Vec<RuleStatus<'a>>)>,
    /// Where the next page begins; empty on the last one.
    pub(super) next_token: String,
}

impl RuleFilters {
    /// Reads the parameters.
    pub(super) fn new(params: &Params, bounds: &Bounds) -> Result<Self, ApiError> {
        let matchers = in_place(|| params.matchers(bounds, ApiError::bad_data))??;
        if matchers.iter().any(|set| set.iter().all(Matcher::matches_empty)) {
            return Err(ApiError::bad_data("match[] must contain at least one non-empty matcher"));
        }
        let kind = params.get("type").to_lowercase();
        if !["", "alert", "record"].contains(&&*kind) {
            return Err(ApiError::parameter("type", format!("not supported value {kind:?}")));
        }
        let excludes_alerts = params.switch("exclude_alerts", false).map_err(|text| {
            let text = text.to_lowercase();
            let why = format!("error converting exclude_alerts: strconv.ParseBool: parsing {text:?}: invalid syntax");
            ApiError::parameter("exclude_alerts", why)
        })?;
        let set = |name| params.all(name).map(str::to_owned).collect();
        let (limit, token) = paging(params)?;
        Ok(Self {
            rules: set("rule_name[]"),
            groups: set("rule_group[]"),
            files: set("file[]"),
            matchers,
            kind,
            excludes_alerts,
            limit,
            token,
            visible: Visible::default(),
        })
    }

    /// Of these only what somebody may see.
    pub(super) fn of(self, visible: Visible) -> Self {
        Self { visible, ..self }
    }

    /// Are the alerts left out of the response?
    pub(super) fn excludes_alerts(&self) -> bool {
        self.excludes_alerts
    }

    /// The groups that are asked for, of all in their order.
    pub(super) fn page<'a>(&self, groups: &'a [Arc<Group>]) -> Result<Page<'a>, ApiError> {
        let begin = if self.token.is_empty() {
            0
        } else {
            groups.iter().position(|group| token(group) == self.token).ok_or_else(|| {
                let why = format!("invalid group_next_token '{}'. were rule groups changed?", self.token);
                ApiError::parameter("group_next_token", why)
            })?
        };
        let mut page = Page { groups: Vec::new(), next_token: String::new() };
        for group in groups[begin..].iter().filter(|group| self.wants_group(group.spec())) {
            let rules: Vec<_> = group.rules().filter(|rule| self.wants_rule(rule.spec)).collect();
            if rules.is_empty() {
                continue;
            }
            if self.limit == Some(page.groups.len()) {
                page.next_token = token(group);
                break;
            }
            page.groups.push((group, rules));
        }
        Ok(page)
    }

    /// Are rules of the group asked for?
    pub(super) fn wants_group(&self, group: &GroupSpec) -> bool {
        let has = |set: &HashSet<String>, value: &str| set.is_empty() || set.contains(value);
        has(&self.groups, &group.name) && has(&self.files, &group.file)
    }

    /// Is the rule asked for, of a group that is?
    pub(super) fn wants_rule(&self, rule: &RuleSpec) -> bool {
        let label = |name: &str| {
            let found = rule.labels.iter().find(|(label, _)| label == name);
            found.map_or("", |(_, value)| value)
        };
        let matches = |set: &Vec<Matcher>| set.iter().all(|matcher| matcher.matches(label(&matcher.name)));
        let is_of_kind = self.kind.is_empty() || rule.is_alerting() == (self.kind == "alert");
        is_of_kind
            && self.visible.shows(label("namespace"))
            && (self.rules.is_empty() || self.rules.contains(&rule.name))
            && (self.matchers.is_empty() || self.matchers.iter().any(matches))
    }
}

/// `group_limit` and `group_next_token`.
fn paging(params: &Params) -> Result<(Option<usize>, String), ApiError> {
    let (limit, token) = (params.get("group_limit"), params.get("group_next_token"));
    if limit.is_empty() {
        if token.is_empty() {
            return Ok((None, String::new()));
        }
        let why = "group_limit needs to be present in order to paginate over the groups";
        return Err(ApiError::parameter("group_next_token", why));
    }
    // Upstream parses 32 bits.
    let number = integer(limit).and_then(|n| i32::try_from(n).map_err(|_| "value out of range"));
    let number = number.map_err(|why| {
        let why = format!("group_limit needs to be a valid number: strconv.ParseInt: parsing {limit:?}: {why}");
        ApiError::parameter("group_limit", why)
    })?;
    match usize::try_from(number) {
        Ok(limit) if limit > 0 => Ok((Some(limit), token.to_owned())),
        _ => Err(ApiError::parameter("group_limit", "group_limit needs to be greater than 0")),
    }
}

/// What a page that begins with this group is asked for by, as upstream makes it: of file and name.
fn token(group: &Group) -> String {
    let hash = digest(&SHA256, group.spec().key().as_bytes());
    hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
