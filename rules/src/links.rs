//! Links to the page that shows an expression. (Prometheus: `util/strutil/strconv.go`.)

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What Go's `url.QueryEscape` escapes; a blank becomes `+`.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b' ');

/// An expression as the value of a parameter.
pub(crate) fn query_escaped(text: &str) -> String {
    utf8_percent_encode(text, QUERY).to_string().replace(' ', "+")
}

/// The path of a page with the graph of an expression.
pub(crate) fn graph_link(expr: &str) -> String {
    format!("/graph?g0.expr={}&g0.tab=0", query_escaped(expr))
}

/// The path of a page with the table of an expression.
pub(crate) fn table_link(expr: &str) -> String {
    format!("/graph?g0.expr={}&g0.tab=1", query_escaped(expr))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_as_go_does() {
        let link = table_link(r#"sum by (job) (up{a="b~*"}) > 1 + é"#);
        let escaped = "sum+by+%28job%29+%28up%7Ba%3D%22b~%2A%22%7D%29+%3E+1+%2B+%C3%A9";
        assert_eq!(link, format!("/graph?g0.expr={escaped}&g0.tab=1"));
        assert_eq!(graph_link("up"), "/graph?g0.expr=up&g0.tab=0");
    }
}
