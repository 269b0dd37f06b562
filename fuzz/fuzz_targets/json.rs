//! JSON read in place: any bytes, and against serde_json where they are JSON.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value};
use tower_inference::{
    framing::{json::Json, sse::Event},
    provider::Failure,
};

/// How many members are looked for by their name.
const MOST: usize = 300;

fuzz_target!(|text: &[u8]| {
    let json = Json::of(text);
    visit(json);
    if let Ok(value) = serde_json::from_slice::<Value>(text) {
        assert_eq!(tree(json), value);
    }
    let failure = Failure::of_event(text);
    same(if json.is_array() { first_object(json) } else { json }, failure.json());
    let event = Event::of(text);
    assert!(
        event.data().len() <= text.len() && event.name().is_none_or(|it| it.len() < text.len())
    );
    assert!(!event.is_comment() || event.data().is_empty());
});

/// Asks every value for everything, at most as many as there are bytes.
fn visit(json: Json<'_>) {
    let mut open = vec![json];
    while let Some(json) = open.pop() {
        let _ = (json.is_truthy(), json.string(), json.text(), json.number(), json.boolean());
        // What is deep inside of an array is looked at once for each bracket around it.
        if json.raw().len() < 4096 {
            open.extend(json.members().map(|(_, value)| value).chain(json.items()));
        }
    }
}

/// The value as serde_json would have read it.
fn tree(json: Json<'_>) -> Value {
    if json.is_object() {
        Value::Object(Map::from_iter(json.members().map(|(key, it)| (key.into_owned(), tree(it)))))
    } else if json.is_array() {
        json.items().map(tree).collect()
    } else if let Some(text) = json.string() {
        Value::String(text.into_owned())
    } else if let Some(truth) = json.boolean() {
        Value::Bool(truth)
    } else {
        let value: Value = serde_json::from_slice(json.raw()).expect("null or a number");
        assert!(value.as_u64().is_none_or(|number| json.number() == Some(number)));
        value
    }
}

fn first_object(json: Json<'_>) -> Json<'_> {
    json.items().next().unwrap_or(Json::MISSING)
}

/// An object says the same when its members are known.
fn same(plain: Json<'_>, indexed: Json<'_>) {
    assert_eq!(if plain.is_object() { plain } else { Json::MISSING }, indexed);
    let mut open = vec![(plain, indexed)];
    let mut asked = 0;
    while let Some((plain, indexed)) = open.pop() {
        for (key, _) in plain.members() {
            let (plain, indexed) = (plain.get(&key), indexed.get(&key));
            assert_eq!(plain, indexed, "{key}");
            open.push((plain, indexed));
            asked += 1;
            if asked > MOST {
                return;
            }
        }
    }
}
