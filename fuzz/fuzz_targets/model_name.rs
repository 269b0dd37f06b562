//! The model's name in a request's body: what serde_json finds in it, and the body as it was.
#![no_main]

use arbitrary::Arbitrary;
use http::{Request, Response};
use http_body_util::BodyExt;
use libfuzzer_sys::fuzz_target;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::{convert::Infallible, fmt};
use tower::{Layer, ServiceExt, service_fn};
use tower_inference::{ModelNameLayer, RequestBody, RequestedModel};
use tower_inference_fuzz::{End, Pieces, Whole, read, run, trailers};

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    seed: u8,
    end: u8,
    lazy: bool,
    look_ahead: u8,
    text: &'a [u8],
}

fuzz_target!(|input: Input<'_>| {
    let end = End::of(input.end);
    let mut body = Pieces::new(input.text, input.seed, end);
    body.lazy = input.lazy;
    let layer = match input.look_ahead {
        0 => ModelNameLayer::new(),
        n => ModelNameLayer::new().max_look_ahead(usize::from(n)),
    };
    let service = layer.layer(service_fn(async |request: Request<RequestBody<Pieces>>| {
        Ok::<_, Infallible>(Response::new(request))
    }));
    let (name, copy, whole) = run(async {
        let request = Request::post("/v1/chat/completions").body(body).expect("valid");
        let Ok(answer) = service.oneshot(request).await;
        let (head, body) = answer.into_body().into_parts();
        let name = head.extensions.get::<RequestedModel>().cloned();
        let copy = match body.try_clone() {
            Some(copy) => copy.collect().await.ok(),
            None => None,
        };
        (name, copy, read(body, |_| ()).await)
    });

    let expected = Whole {
        text: input.text.to_vec(),
        trailers: (end == End::Trailers).then(trailers),
        error: (end == End::Error).then(|| "connection reset".to_owned()),
        is_silent: end == End::Silence,
    };
    assert_eq!(whole, expected, "the body is as it was");
    if let Some(copy) = copy {
        assert_eq!(copy.trailers(), expected.trailers.as_ref());
        assert_eq!(copy.to_bytes(), input.text, "a copy is the same");
    }
    let Ok(First(value)) = serde_json::from_slice(input.text) else { return };
    if input.look_ahead == 0 {
        let string = match value.map(RawValue::get) {
            Some(raw) if raw.starts_with('"') && raw.len() <= 512 => {
                // serde_json reads no half of a surrogate.
                let Ok(string) = serde_json::from_str::<String>(raw) else { return };
                Some(string)
            }
            _ => None,
        };
        let string = string.as_deref().filter(|string| !string.is_empty());
        assert_eq!(name.as_ref().map(RequestedModel::as_str), string);
    }
});

/// The value of an object's first `model`.
struct First<'a>(Option<&'a RawValue>);

impl<'de: 'a, 'a> Deserialize<'de> for First<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = First<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<First<'de>, A::Error> {
                let mut first = None;
                while let Some(key) = map.next_key::<String>()? {
                    if key == "model" && first.is_none() {
                        first = Some(map.next_value()?);
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(First(first))
            }
        }
        deserializer.deserialize_map(Object)
    }
}
