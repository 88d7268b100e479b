//! Values of attributes as text (upstream: `pcommon.Value.AsString`).

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::Timestamp;
use model::float::format_f;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use serde_json::Value as Json;

/// How deep values may lie in each other.
const DEPTH_MAX: usize = 64;

/// A value as the value of a label.
pub(super) fn text(value: Option<&AnyValue>) -> String {
    match value.and_then(|value| value.value.as_ref()) {
        None | Some(Value::StringValueStrindex(_)) => String::new(),
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::BoolValue(truth)) => truth.to_string(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::DoubleValue(number)) => float(*number),
        Some(Value::BytesValue(bytes)) => STANDARD.encode(bytes),
        Some(value @ (Value::ArrayValue(_) | Value::KvlistValue(_))) => json(value, 0).to_string(),
    }
}

/// A float as Go's JSON has it.
fn float(number: f64) -> String {
    if !number.is_finite() {
        return format!("json: unsupported value: {}", format_f(number));
    }
    let size = number.abs();
    if size != 0.0 && size < 1e-6 {
        return format!("{number:e}");
    }
    if size >= 1e21 {
        return format!("{number:e}").replace('e', "e+");
    }
    format_f(number)
}

fn json(value: &Value, depth: usize) -> Json {
    let inner = |value: &AnyValue| value.value.as_ref().map_or(Json::Null, |value| json(value, depth + 1));
    match value {
        _ if depth >= DEPTH_MAX => Json::Null,
        Value::StringValueStrindex(_) => Json::Null,
        Value::StringValue(text) => Json::from(text.as_str()),
        Value::BoolValue(truth) => Json::from(*truth),
        Value::IntValue(number) => Json::from(*number),
        // A number without fraction is written without one.
        Value::DoubleValue(number) => serde_json::from_str(&float(*number)).unwrap_or(Json::Null),
        Value::BytesValue(bytes) => Json::from(STANDARD.encode(bytes)),
        Value::ArrayValue(array) => array.values.iter().map(inner).collect(),
        Value::KvlistValue(list) => {
            let sorted: BTreeMap<&str, &KeyValue> = list.values.iter().map(|one| (one.key.as_str(), one)).collect();
            let entries =
                sorted.into_iter().map(|(key, one)| (key.to_owned(), one.value.as_ref().map_or(Json::Null, inner)));
            Json::Object(entries.collect())
        }
    }
}

/// Milliseconds of nanoseconds, cut off.
pub(super) fn ms(ns: u64) -> Timestamp {
    Timestamp(ns.cast_signed() / 1_000_000)
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::common::v1::{ArrayValue, KeyValueList};

    use super::*;

    #[test]
    fn values_of_each_kind() {
        let any = |value| AnyValue { value: Some(value) };
        let key = |key: &str, value| KeyValue { key: key.to_owned(), value: Some(any(value)), ..KeyValue::default() };
        let list =
            KeyValueList { values: vec![key("b", Value::IntValue(1)), key("a", Value::StringValue("<x>".to_owned()))] };
        let array = ArrayValue {
            values: vec![any(Value::DoubleValue(1.0)), any(Value::KvlistValue(list)), AnyValue::default()],
        };
        for (value, expected) in [
            (Value::StringValue("a\nb".to_owned()), "a\nb"),
            (Value::BoolValue(true), "true"),
            (Value::IntValue(-5), "-5"),
            (Value::DoubleValue(1.0), "1"),
            (Value::DoubleValue(0.5), "0.5"),
            (Value::DoubleValue(1.5e-7), "1.5e-7"),
            (Value::DoubleValue(1e21), "1e+21"),
            (Value::DoubleValue(f64::NAN), "json: unsupported value: NaN"),
            (Value::BytesValue(vec![0, 255]), "AP8="),
            (Value::ArrayValue(array), r#"[1,{"a":"<x>","b":1},null]"#),
        ] {
            assert_eq!(text(Some(&any(value))), expected);
        }
        assert_eq!(text(None), "");
    }
}
