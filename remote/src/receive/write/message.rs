//! Which message a request of remote write carries, by its headers (upstream: `ParseProtoMsg` of client_golang's remote API, whose
//! texts these are).

use crate::Error;

const MEDIA_TYPE: &str = "application/x-protobuf";

/// A message that samples come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteMessage {
    /// `prometheus.WriteRequest`, remote write 1.0.
    V1,
    /// `io.prometheus.write.v2.Request`, remote write 2.0.
    V2,
}

impl WriteMessage {
    /// Both, the older one first.
    pub const ALL: [Self; 2] = [Self::V1, Self::V2];

    /// Its name in the package of its protocol.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::V1 => "prometheus.WriteRequest",
            Self::V2 => "io.prometheus.write.v2.Request",
        }
    }

    /// The message of this name.
    ///
    /// # Errors
    /// When there is none.
    pub fn named(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|one| one.name() == name).ok_or_else(|| {
            let known = names(&Self::ALL);
            format!("unknown type for remote write protobuf message {name}, supported: {known}")
        })
    }

    /// The message that a `Content-Type` means, among those that are accepted; empty where there is no such header.
    ///
    /// # Errors
    /// When it means none, or one that is not accepted.
    pub fn of_content_type(content_type: &str, accepted: &[Self]) -> Result<Self, Error> {
        let message = Self::parsed(content_type).map_err(Error::MediaType)?;
        if accepted.contains(&message) {
            return Ok(message);
        }
        let (name, accepted) = (message.name(), names(accepted));
        Err(Error::MediaType(format!(
            "{name} protobuf message is not accepted by this server; only accepts {accepted}"
        )))
    }

    fn parsed(content_type: &str) -> Result<Self, String> {
        let content_type = content_type.trim();
        if content_type.is_empty() {
            return Ok(Self::V1);
        }
        let mut parts = content_type.split(';');
        if parts.next() != Some(MEDIA_TYPE) {
            return Err(format!("expected {MEDIA_TYPE} as the first (media) part, got {content_type} content-type"));
        }
        for part in parts {
            // Exactly one equals sign, and blanks are part of the name: so does upstream read it.
            let (name, value) = part.split_once('=').filter(|(_, value)| !value.contains('=')).ok_or_else(|| {
                format!(
                    "as per https://www.rfc-editor.org/rfc/rfc9110#parameter expected parameters to be key-values, got {part} \
                     in {content_type} content-type"
                )
            })?;
            if name == "proto" {
                return Self::named(value).map_err(|why| format!("got {content_type} content type; {why}"));
            }
        }
        Ok(Self::V1)
    }
}

/// Checks the `Content-Encoding` of a request; empty where there is no such header.
///
/// # Errors
/// When it is another one than snappy.
pub fn check_encoding(encoding: &str) -> Result<(), Error> {
    if matches!(encoding, "" | "snappy") {
        return Ok(());
    }
    let why = format!("{encoding} encoding (compression) is not accepted by this server; only snappy is acceptable");
    Err(Error::MediaType(why))
}

fn names(messages: &[WriteMessage]) -> String {
    messages.iter().map(|one| one.name()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_say_which_message_it_is() {
        let both = &WriteMessage::ALL;
        for (text, expected) in [
            ("", WriteMessage::V1),
            ("application/x-protobuf", WriteMessage::V1),
            (" application/x-protobuf;proto=prometheus.WriteRequest", WriteMessage::V1),
            ("application/x-protobuf;a=b;proto=io.prometheus.write.v2.Request", WriteMessage::V2),
        ] {
            assert_eq!(WriteMessage::of_content_type(text, both).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_not_taken_is_said_in_upstreams_words() {
        let why = |text: &str, accepted: &[WriteMessage]| {
            WriteMessage::of_content_type(text, accepted).unwrap_err().to_string()
        };
        let both = &WriteMessage::ALL;
        assert_eq!(
            why("text/plain", both),
            "expected application/x-protobuf as the first (media) part, got text/plain content-type"
        );
        assert_eq!(
            why("application/x-protobuf;proto=a", both),
            "got application/x-protobuf;proto=a content type; unknown type for remote write protobuf message a, supported: \
             prometheus.WriteRequest, io.prometheus.write.v2.Request"
        );
        assert!(why("application/x-protobuf;a=b=c", both).contains("got a=b=c in application/x-protobuf;a=b=c"));
        assert_eq!(
            why("application/x-protobuf", &[WriteMessage::V2]),
            "prometheus.WriteRequest protobuf message is not accepted by this server; only accepts \
             io.prometheus.write.v2.Request"
        );
        assert!(check_encoding("").is_ok() && check_encoding("snappy").is_ok());
        assert_eq!(
            check_encoding("zstd").unwrap_err().to_string(),
            "zstd encoding (compression) is not accepted by this server; only snappy is acceptable"
        );
    }
}
