//! How an endpoint is described.

use super::shape::Shape;

/// An endpoint of the API.
#[derive(Debug)]
pub(super) struct Endpoint {
    /// Below `/api/v1`.
    pub(super) path: &'static str,
    pub(super) methods: Methods,
    pub(super) tag: Tag,
    /// What it is for, in one sentence.
    pub(super) about: &'static str,
    /// Its parameters, in groups that endpoints share.
    pub(super) params: &'static [&'static [Param]],
    pub(super) answer: Answer,
}

/// The methods that an endpoint takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Methods {
    Get,
    /// GET, or POST with a form.
    GetPost,
    /// POST and PUT.
    Changes,
    /// POST of a body of one of these media types.
    Post(&'static [&'static str]),
}

/// What endpoints are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tag {
    Query,
    Metadata,
    Labels,
    Series,
    Targets,
    Rules,
    Alerts,
    Status,
    Admin,
    Remote,
    Features,
    Notifications,
}

impl Tag {
    /// Every tag with its name and what it covers.
    pub(super) const ALL: [(Self, &'static str, &'static str); 12] = [
        (Self::Query, "query", "PromQL: evaluate it, look at what it costs, and at its text."),
        (Self::Metadata, "metadata", "Type, help and unit of metrics."),
        (Self::Labels, "labels", "Names and values of labels."),
        (Self::Series, "series", "Which series there are."),
        (Self::Targets, "targets", "What is scraped, and why."),
        (Self::Rules, "rules", "Recording and alerting rules."),
        (Self::Alerts, "alerts", "Alerts, and who is told."),
        (Self::Status, "status", "The server itself."),
        (Self::Admin, "admin", "What changes the store; off unless `--web.enable-admin-api` is given."),
        (Self::Remote, "remote", "What other systems send, and what they read."),
        (Self::Features, "features", "What this server can do."),
        (Self::Notifications, "notifications", "What the server tells whoever looks at it."),
    ];

    pub(super) fn name(self) -> &'static str {
        Self::ALL.iter().find(|(tag, ..)| *tag == self).map_or("", |(_, name, _)| name)
    }
}

/// A parameter.
#[derive(Debug)]
pub(super) struct Param {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) is_required: bool,
    pub(super) about: &'static str,
}

/// What values a parameter takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    /// May be repeated.
    Texts,
    /// One of these.
    Word(&'static [&'static str]),
    Whole,
    Switch,
    /// Seconds since 1970, or RFC 3339.
    Time,
    /// Seconds, or such as `5m`.
    Duration,
    /// A part of the path.
    Segment,
}

/// A parameter that may be left out.
pub(super) const fn takes(name: &'static str, kind: Kind, about: &'static str) -> Param {
    Param { name, kind, is_required: false, about }
}

/// One that may not.
pub(super) const fn needs(name: &'static str, kind: Kind, about: &'static str) -> Param {
    Param { name, kind, is_required: true, about }
}

/// What a request that succeeds is answered with.
#[derive(Clone, Copy, Debug)]
pub(super) enum Answer {
    /// The frame of all answers; what is in `data`.
    Json(&'static str),
    /// The same, and its form: of those that the web page reads.
    Shaped(&'static str, Shape),
    /// The same, or text for whoever accepts `text/plain`.
    ShapedOrText(&'static str, Shape),
    /// No body.
    Nothing,
    /// A message in one of these media types.
    Bytes(&'static str, &'static [&'static str]),
    /// JSON, one value a line.
    Lines(&'static str),
    /// Server-sent events; OpenAPI can say so since 3.2.
    Events(&'static str),
    /// This document.
    Document,
}
