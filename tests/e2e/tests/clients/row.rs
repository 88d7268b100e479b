//! A request of a client, and what the client needs in the answer.

/// HTTP method and encoding of the parameters.
#[derive(Clone, Copy, Debug)]
pub enum Request {
    /// The parameters are in the URL.
    Get,
    /// The parameters are a form in the body.
    Post,
    /// POST with the parameters in the URL and no body.
    PostUrl,
}

/// What a client does with an answer and would stumble over otherwise.
#[derive(Clone, Copy, Debug)]
pub enum Need {
    /// There is a text here (a JSON pointer).
    Text(&'static str),
    /// This text.
    Is(&'static str, &'static str),
    Number(&'static str),
    /// A list, perhaps an empty one, never `null`.
    List(&'static str),
    /// A list with something in it.
    Some(&'static str),
    /// An object.
    Map(&'static str),
    /// Not there at all.
    Absent(&'static str),
    /// A text that is a version: three numbers.
    Version(&'static str),
    /// A text that is a duration as Prometheus writes them.
    Duration(&'static str),
    /// A text that is a time, RFC 3339.
    Time(&'static str),
    /// Two texts that are the same.
    Equal(&'static str, &'static str),
    /// A text that is `true` or `false`.
    SwitchAsText(&'static str),
    /// `[seconds, "value"]`, a number and a text that is one.
    Sample(&'static str),
    /// A list of such.
    Samples(&'static str),
    /// The text at the first place is YAML with this text at the second.
    Yaml(&'static str, &'static str, &'static str),
    /// A page in the text format with a number for this metric.
    Metric(&'static str),
    /// A header with this in its value.
    Header(&'static str, &'static str),
}

/// How much of the answer is as Prometheus'.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Same {
    /// All of it, but for an order that upstream leaves open.
    Answer,
    /// The same fields with values of the same kinds.
    Shape,
    /// Nothing but the status: what is in it belongs to the server.
    Status,
}

/// A request of a client.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    pub client: &'static str,
    /// Where it was read: repository, and file in it.
    pub source: &'static str,
    pub request: Request,
    pub path: &'static str,
    /// `$start`, `$end` and `$from` in values are times in seconds, with `_rfc` behind them RFC 3339, with `_ms` milliseconds of it.
    pub params: &'static [(&'static str, &'static str)],
    pub headers: &'static [(&'static str, &'static str)],
    pub status: u16,
    pub needs: &'static [Need],
    pub same: Same,
}

impl Row {
    /// A GET that succeeds.
    pub const fn get(client: &'static str, source: &'static str, path: &'static str) -> Self {
        Self {
            client,
            source,
            request: Request::Get,
            path,
            params: &[],
            headers: &[],
            status: 200,
            needs: &[],
            same: Same::Answer,
        }
    }

    /// A form that succeeds.
    pub const fn post(client: &'static str, source: &'static str, path: &'static str) -> Self {
        Self { request: Request::Post, ..Self::get(client, source, path) }
    }

    pub const fn with(self, params: &'static [(&'static str, &'static str)]) -> Self {
        Self { params, ..self }
    }

    pub const fn sends(self, headers: &'static [(&'static str, &'static str)]) -> Self {
        Self { headers, ..self }
    }

    pub const fn needs(self, needs: &'static [Need]) -> Self {
        Self { needs, ..self }
    }

    pub const fn fails(self, status: u16) -> Self {
        Self { status, ..self }
    }

    pub const fn same(self, same: Same) -> Self {
        Self { same, ..self }
    }

    pub const fn in_url(self) -> Self {
        Self { request: Request::PostUrl, ..self }
    }
}
