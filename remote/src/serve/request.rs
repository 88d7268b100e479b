//! What a request of remote read asks for (upstream: `DecodeReadRequest`, `NegotiateResponseType` and `FromLabelMatchers` of
//! `storage/remote/codec.go`).

use std::collections::BTreeMap;

use model::{MatchOp, Matcher, Timestamp};
use prost::Message as _;

use crate::proto::read as proto;
use crate::{Error, snappy};

/// Queries and how they are to be answered.
#[derive(Debug)]
pub struct ReadRequest {
    /// Each is answered by itself.
    pub queries: Vec<ReadQuery>,
    /// In which form.
    pub form: ReadForm,
}

/// Samples of some series in a span of time.
#[derive(Debug)]
pub struct ReadQuery {
    /// Included.
    pub start: Timestamp,
    /// Included.
    pub end: Timestamp,
    /// Which series, by the labels that are stored.
    pub matchers: Vec<Matcher>,
    /// Their label sets without samples.
    pub labels_only: bool,
}

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadForm {
    /// One message with all samples.
    Samples,
    /// A stream of messages with chunks.
    Chunks,
}

impl ReadRequest {
    /// Reads a body. Matchers that name an external label of this server with its value hold for all that is stored.
    ///
    /// # Errors
    /// When it is no message, has a matcher that is none, or wants no form that there is.
    pub fn of_body(body: &[u8], external_labels: &BTreeMap<String, String>) -> Result<Self, Error> {
        Self::read(&snappy::decoded(body, snappy::SNAPPY)?, external_labels)
    }

    fn read(bytes: &[u8], external_labels: &BTreeMap<String, String>) -> Result<Self, Error> {
        let broken = |why: String| Error::Message { message: "prometheus.ReadRequest", why };
        let message = proto::ReadRequest::decode(bytes).map_err(|error| broken(error.to_string()))?;
        let form = ReadForm::chosen(&message.accepted_response_types)?;
        let queries = message.queries.into_iter().map(|query| {
            let matchers = query.matchers.into_iter().map(|one| matcher(one, external_labels));
            let matchers = matchers.collect::<Result<_, _>>().map_err(Error::Request)?;
            Ok(ReadQuery {
                start: Timestamp(query.start_timestamp_ms),
                end: Timestamp(query.end_timestamp_ms),
                matchers,
                labels_only: query.hints.is_some_and(|hints| hints.func == proto::LABELS_ONLY),
            })
        });
        Ok(Self { queries: queries.collect::<Result<_, Error>>()?, form })
    }
}

impl ReadForm {
    /// The first of those that are accepted; samples where nothing is said.
    fn chosen(accepted: &[i32]) -> Result<Self, Error> {
        let known = |number: &i32| match number {
            0 => Some(Self::Samples),
            1 => Some(Self::Chunks),
            _ => None,
        };
        if accepted.is_empty() {
            return Ok(Self::Samples);
        }
        accepted.iter().find_map(known).ok_or_else(|| {
            let supported = "[SAMPLES STREAMED_XOR_CHUNKS]";
            Error::Request(format!(
                "server does not support any of the requested response types: {accepted:?}; supported: {supported}"
            ))
        })
    }
}

fn matcher(one: proto::LabelMatcher, external_labels: &BTreeMap<String, String>) -> Result<Matcher, String> {
    let op = match one.kind {
        0 => MatchOp::Equal,
        1 => MatchOp::NotEqual,
        2 => MatchOp::Regex,
        3 => MatchOp::NotRegex,
        _ => return Err("invalid matcher type".to_owned()),
    };
    if op == MatchOp::Equal && external_labels.get(&one.name) == Some(&one.value) {
        // What is stored does not have it.
        return Ok(Matcher::equal(one.name, ""));
    }
    Matcher::new(op, one.name, one.value).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(accepted: &[i32], matchers: &[(i32, &str, &str)]) -> Result<ReadRequest, Error> {
        let matchers = matchers.iter().map(|(kind, name, value)| proto::LabelMatcher {
            kind: *kind,
            name: (*name).to_owned(),
            value: (*value).to_owned(),
        });
        let query =
            proto::Query { start_timestamp_ms: 1, end_timestamp_ms: 2, matchers: matchers.collect(), hints: None };
        let message = proto::ReadRequest { queries: vec![query], accepted_response_types: accepted.to_vec() };
        let external = BTreeMap::from([("cluster".to_owned(), "eu".to_owned())]);
        ReadRequest::read(&message.encode_to_vec(), &external)
    }

    #[test]
    fn the_first_known_form_is_taken() {
        for (accepted, form) in
            [(&[][..], ReadForm::Samples), (&[1, 0], ReadForm::Chunks), (&[7, 0, 1], ReadForm::Samples)]
        {
            assert_eq!(read(accepted, &[]).unwrap().form, form, "{accepted:?}");
        }
        assert_eq!(
            read(&[7], &[]).unwrap_err().to_string(),
            "server does not support any of the requested response types: [7]; supported: [SAMPLES STREAMED_XOR_CHUNKS]"
        );
    }

    #[test]
    fn external_labels_match_what_has_none() {
        let all = [(0, "cluster", "eu"), (0, "cluster", "us"), (2, "cluster", "eu"), (1, "a", "b"), (3, "c", "d.*")];
        let request = read(&[], &all).unwrap();
        let shown: Vec<String> = request.queries[0].matchers.iter().map(ToString::to_string).collect();
        assert_eq!(shown, [r#"cluster="""#, r#"cluster="us""#, r#"cluster=~"eu""#, r#"a!="b""#, r#"c!~"d.*""#]);
        assert_eq!((request.queries[0].start, request.queries[0].end), (Timestamp(1), Timestamp(2)));
    }

    #[test]
    fn what_is_no_request_is_refused() {
        assert_eq!(read(&[], &[(9, "a", "b")]).unwrap_err().to_string(), "invalid matcher type");
        assert!(read(&[], &[(2, "a", "(")]).is_err());
        assert!(ReadRequest::read(b"\x0a\x05a", &BTreeMap::new()).is_err());
    }
}
