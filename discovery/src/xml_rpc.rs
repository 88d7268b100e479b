//! XML-RPC, as much of it as Uyuni needs: a call with texts, numbers and lists of numbers, and any value as its answer.

use std::fmt::Write as _;

use roxmltree::Node;
use serde_json::{Map, Value};

use crate::xml;

/// Values deeper than this are refused.
const DEPTH_MAX: usize = 64;

/// An argument of a call.
pub(crate) enum Argument<'a> {
    Text(&'a str),
    Int(i64),
    Ints(&'a [i64]),
}

/// The body of a call.
pub(crate) fn call(method: &str, arguments: &[Argument<'_>]) -> String {
    let mut body =
        format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?><methodCall><methodName>{method}</methodName><params>");
    for argument in arguments {
        body.push_str("<param>");
        // Writing to a string does not fail.
        let _ = match argument {
            Argument::Text(text) => write!(body, "<value><string>{}</string></value>", escaped(text)),
            Argument::Int(number) => write!(body, "<value><int>{number}</int></value>"),
            Argument::Ints(numbers) => {
                let items = numbers.iter().map(|number| format!("<value><int>{number}</int></value>"));
                write!(body, "<value><array><data>{}</data></array></value>", items.collect::<String>())
            }
        };
        body.push_str("</param>");
    }
    body + "</params></methodCall>"
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// The value of an answer, or what it says is wrong.
pub(crate) fn answer(text: &str) -> Result<Value, String> {
    let document = xml::parse(text)?;
    let find = |name: &str| document.descendants().find(|node| node.tag_name().name() == name);
    let is_fault = find("fault").is_some();
    let first = find("value").ok_or("the answer has no value")?;
    let value = value(first, 0)?;
    if is_fault {
        let text = |name: &str| value[name].as_str().map_or_else(|| value[name].to_string(), str::to_owned);
        return Err(format!("fault {}: {}", text("faultCode"), text("faultString")));
    }
    Ok(value)
}

/// A `value` element. One without a type is a text.
fn value(node: Node<'_, '_>, depth: usize) -> Result<Value, String> {
    if depth > DEPTH_MAX {
        return Err("the answer is nested too deeply".to_owned());
    }
    let Some(typed) = node.first_element_child() else {
        return Ok(Value::from(node.text().unwrap_or_default().trim()));
    };
    let text = typed.text().unwrap_or_default();
    let invalid = |_| format!("{text:?} is no number");
    Ok(match typed.tag_name().name() {
        "int" | "i4" | "i8" => Value::from(text.trim().parse::<i64>().map_err(invalid)?),
        "boolean" => Value::from(text.trim() == "1"),
        "struct" => {
            let mut members = Map::new();
            for member in typed.children().filter(|child| child.tag_name().name() == "member") {
                let child = |name: &str| member.children().find(|child| child.tag_name().name() == name);
                let name = child("name").and_then(|name| name.text()).unwrap_or_default();
                let of = child("value").ok_or("a member has no value")?;
                members.insert(name.to_owned(), value(of, depth + 1)?);
            }
            Value::Object(members)
        }
        "array" => {
            let data = typed.first_element_child();
            let items = data.iter().flat_map(|data| data.children()).filter(Node::is_element);
            Value::Array(items.map(|item| value(item, depth + 1)).collect::<Result<_, _>>()?)
        }
        _ => Value::from(text),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn calls_are_written() {
        assert_eq!(
            call("a.b", &[Argument::Text("x<&>"), Argument::Int(-1), Argument::Ints(&[1, 2])]),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><methodCall><methodName>a.b</methodName><params>\
             <param><value><string>x&lt;&amp;&gt;</string></value></param><param><value><int>-1</int></value></param>\
             <param><value><array><data><value><int>1</int></value><value><int>2</int></value></data></array></value></param>\
             </params></methodCall>"
        );
    }

    #[test]
    fn answers_are_read() {
        let of =
            |value: &str| answer(&format!("<methodResponse><params><param>{value}</param></params></methodResponse>"));
        assert_eq!(of("<value> a token </value>").unwrap(), json!("a token"));
        assert_eq!(of("<value><string>x &amp; y</string></value>").unwrap(), json!("x & y"));
        assert_eq!(
            of("<value><array><data><value><i4>7</i4></value><value><struct><member><name>on</name><value><boolean>1</boolean></value>\
                </member></struct></value></data></array></value>")
            .unwrap(),
            json!([7, {"on": true}])
        );
        assert!(of("<value><int>x</int></value>").unwrap_err().contains("no number"));
        let deep = format!("{}1{}", "<value><array><data>".repeat(100), "</data></array></value>".repeat(100));
        assert_eq!(of(&deep).unwrap_err(), "the answer is nested too deeply");
        let fault = "<methodResponse><fault><value><struct><member><name>faultCode</name><value><int>2950</int></value></member>\
                     <member><name>faultString</name><value>no such user</value></member></struct></value></fault></methodResponse>";
        assert_eq!(answer(fault).unwrap_err(), "fault 2950: no such user");
        assert!(answer("<x>").is_err() && answer("<x/>").is_err());
    }
}
