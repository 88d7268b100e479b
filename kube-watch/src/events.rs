//! Events: the sentences that `kubectl describe` shows below an object (`events.k8s.io/v1`).

use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};

use crate::Error;
use crate::client::{ApiServer, ClientSlot};
use crate::fault::{FORBIDDEN, Fault};

/// The longest note that the API server takes, bytes.
const NOTE_MAX: usize = 1024;

/// The object that an Event is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventObject {
    /// `monitoring.coreos.com/v1`
    pub api_version: String,
    /// Its kind.
    pub kind: String,
    /// Its namespace, in which the Event is written.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Without it `kubectl describe` does not find the Event.
    pub uid: String,
}

/// Writes Events.
#[derive(Debug)]
pub struct EventWriter {
    client: ClientSlot,
    controller: &'static str,
}

impl EventWriter {
    /// A writer to this server, in the name of a controller.
    #[must_use]
    pub fn new(server: ApiServer, controller: &'static str) -> Self {
        Self { client: ClientSlot::new(server), controller }
    }

    /// Writes a warning: a reason and an action in `CamelCase`, and a sentence, which is cut when it is too long. `false` if that
    /// is not allowed.
    ///
    /// # Errors
    /// When there is no such server, or it does not take the Event.
    pub async fn warn(&self, object: &EventObject, reason: &str, action: &str, note: &str) -> Result<bool, Error> {
        let regarding = ObjectReference {
            api_version: Some(object.api_version.clone()),
            kind: Some(object.kind.clone()),
            namespace: Some(object.namespace.clone()),
            name: Some(object.name.clone()),
            uid: Some(object.uid.clone()),
            ..ObjectReference::default()
        };
        let event = Event {
            type_: EventType::Warning,
            reason: reason.to_owned(),
            note: Some(cut(note).to_owned()),
            action: action.to_owned(),
            secondary: None,
        };
        let client = self.client.client().await?;
        // One for each Event: a recorder takes a second Event of the same reason for a repetition of the first, and would show
        // the note of that one.
        let recorder = Recorder::new(client, Reporter { controller: self.controller.to_owned(), instance: None });
        match recorder.publish(&event, &regarding).await {
            Ok(()) => Ok(true),
            Err(kube::Error::Api(status)) if status.code == FORBIDDEN => Ok(false),
            Err(error) => {
                // The credentials may have changed.
                self.client.reset().await;
                Err(Error::Request(Fault::of_request(&error).message))
            }
        }
    }
}

/// The first part of a note that is not too long.
fn cut(note: &str) -> &str {
    &note[..note.floor_char_boundary(NOTE_MAX)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_cut_between_characters() {
        assert_eq!(cut("short"), "short");
        assert_eq!(cut(&"x".repeat(2_000)).len(), 1_024);
        assert_eq!(cut(&format!("x{}", "é".repeat(1_000))).len(), 1_023);
    }
}
