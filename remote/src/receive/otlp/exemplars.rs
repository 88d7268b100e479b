//! Exemplars of points (upstream: `getPromExemplars`).

use model::{Exemplar, LabelsBuilder};
use opentelemetry_proto::tonic::metrics::v1::Exemplar as Sent;
use opentelemetry_proto::tonic::metrics::v1::exemplar::Value;

use super::values::{ms, text};

const TRACE: &str = "trace_id";
const SPAN: &str = "span_id";

/// Those that have a value.
pub(super) fn read(sent: &[Sent]) -> Vec<Exemplar> {
    sent.iter().filter_map(exemplar).collect()
}

fn exemplar(sent: &Sent) -> Option<Exemplar> {
    #[expect(clippy::cast_precision_loss, reason = "samples are floats")]
    let value = match sent.value? {
        Value::AsDouble(value) => value,
        Value::AsInt(value) => value as f64,
    };
    let mut labels = LabelsBuilder::default();
    for (name, id) in [(TRACE, &sent.trace_id), (SPAN, &sent.span_id)] {
        // One of zeros only is none.
        if id.iter().any(|byte| *byte != 0) {
            labels.set(name, hex(id));
        }
    }
    let ids = labels.labels();
    for one in sent.filtered_attributes.iter().filter(|one| ids.get(&one.key).is_none()) {
        labels.set(&one.key, text(one.value.as_ref()));
    }
    let exemplar = |labels| Exemplar { labels, value, ts: ms(sent.time_unix_nano) };
    // Where all of them are too long, only whose trace it is stays.
    let whole = exemplar(labels.labels());
    Some(if whole.is_short() { whole } else { exemplar(ids) })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
