//! What clients must not see, planted wherever an upstream may put it; and what they must see.
//!
//! Both sets are written by templates. `{w20}` stands for 20 characters of a kind, between `«` and
//! `»` is what must not reach a client in any spelling.

use crate::script::{self, Script};
use http::{Response, StatusCode};
use serde_json::{Value, json};
use std::{collections::BTreeMap, fmt::Write};
use tower_inference::{
    ErrorNormalizationLayer, InferenceError, dialect::Disclosure, error::redact,
};

/// What goes by itself: a prefix or a form of its own.
const CREDENTIALS: &[&str] = &[
    "«sk-{a48}»",
    "«sk-proj-{w64}»",
    "«sk-svcacct-{w40}»",
    "«sk-admin-{w40}»",
    "«sk-ant-api03-{w93}AA»",
    "«sk-ant-admin01-{w60}»",
    "«sk-or-v1-{h64}»",
    "«sk-lf-{h8}-{h4}-{h4}-{h4}-{h12}»",
    "«AIza{w35}»",
    "«ya29.{w60}»",
    "«GOCSPX-{w28}»",
    "«AKIA{U16}»",
    "«ASIA{U16}»",
    "«ABSK{a60}+{a30}/{a18}==»",
    "«hf_{a34}»",
    "«api_org_{a34}»",
    "«gsk_{a52}»",
    "«xai-{a80}»",
    "«pplx-{a48}»",
    "«r8_{a37}»",
    "«nvapi-{w64}»",
    "«fw_{a24}»",
    "«tgp_v1_{w43}»",
    "«csk-{a48}»",
    "«pa-{w43}»",
    "«jina_{h32}{a28}»",
    "«dapi{h32}»",
    "«ghp_{a36}»",
    "«gho_{a36}»",
    "«ghs_{a36}»",
    "«github_pat_{a22}_{a59}»",
    "«glpat-{w20}»",
    "«xoxb-{d12}-{d12}-{a24}»",
    "«xapp-1-{U11}-{d13}-{h64}»",
    "«sk_live_{a24}»",
    "«rk_live_{a24}»",
    "«whsec_{a32}»",
    "«SG.{w22}.{w43}»",
    "«npm_{a36}»",
    "«pypi-AgEIcHlwaS5vcmc{w80}»",
    "«dop_v1_{h64}»",
    "«hvs.{w90}»",
    "«shpat_{h32}»",
    "«SK{h32}»",
    "«lin_api_{a40}»",
    "«ntn_{a46}»",
    "«NRAK-{U27}»",
    "«glsa_{a32}_{h8}»",
    "«lsv2_pt_{h32}_{h10}»",
    "«pcsk_{a5}_{a60}»",
    "«tvly-{a32}»",
    "«sbp_{h40}»",
    "«dckr_pat_{w27}»",
    "«ATATT3xFfGF0{w60}»",
    "«figd_{w40}»",
    "«PMAK-{h24}-{h34}»",
    "«AGE-SECRET-KEY-1{U58}»",
    "«{d10}:AA{w33}»",
    "«{a32}»",
    "«{a40}»",
    "«eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJ{w40}.{w43}»",
    "«eyJhbGciOiJSUzI1NiJ9.eyJ{w120}.{w86}»",
];

/// What goes by the name before it.
const NAMED: &[&str] = &[
    "Authorization: Bearer «{w40}»",
    "authorization: bearer «{h32}»",
    "Bearer «{a24}»",
    "Authorization: Basic «{a22}==»",
    "Proxy-Authorization: Basic «{a30}=»",
    "x-api-key: «{h32}»",
    "api-key: «{h32}»",
    "api_key=«{a24}»",
    "OPENAI_API_KEY=«{w30}»",
    "Ocp-Apim-Subscription-Key: «{h32}»",
    "aws_secret_access_key=«{a19}/{a20}»",
    "client_secret=«{w34}»",
    "password=«hunter{d4}»",
    "AccountKey=«{a40}==»",
    "{\"access_token\": \"«{w40}»\"}",
    "{'refresh_token': '«{w40}»'}",
];

const URLS: &[&str] = &[
    "https://«admin:{w16}»@api.example.com/v1/models",
    "postgres://«gateway:{a12}»@db.example.com:5432/usage",
    "redis://«:{w20}»@cache.example.com",
    "https://api.example.com/v1/models?key=«{w30}»&alt=sse",
    "https://api.example.com/v1?alt=json&access_token=«{w40}»",
    "https://x.blob.example.com/m?sv=2024-01-01&sig=«{a43}»",
    "https://m.s3.example.com/x?X-Amz-Security-Token=«{a60}»&X-Amz-Date=20260101T000000Z",
    "https://storage.example.com/x?X-Goog-Signature=«{h64}»",
];

const PRIVATE_KEYS: &[&str] = &[
    "«-----BEGIN PRIVATE KEY-----\n{a64}\n{a64}\n-----END PRIVATE KEY-----»",
    "«-----BEGIN RSA PRIVATE KEY-----\n{a64}\n{a20}==\n-----END RSA PRIVATE KEY-----»",
    "«-----BEGIN EC PRIVATE KEY-----\n{a64}\n-----END EC PRIVATE KEY-----»",
    "«-----BEGIN OPENSSH PRIVATE KEY-----\n{a64}\n{a64}\n-----END OPENSSH PRIVATE KEY-----»",
    "«-----BEGIN ENCRYPTED PRIVATE KEY-----\n{a64}»",
];

const PLACES: &[&str] = &[
    "dial tcp «10.{n}.{n}.{n}:8000»",
    "connect ECONNREFUSED «172.16.{n}.{n}:443»",
    "no route to «192.168.{n}.{n}»",
    "metadata at «169.254.169.254»",
    "upstream «100.64.{n}.{n}:9000»",
    "listen «127.0.0.1:1{d4}»",
    "dial «[fd00:{h4}::{h4}]:8000»",
    "address «fe80::{h4}:{h4}»",
    "no such host «vllm-{n}.models.svc.cluster.local»",
    "«worker-{n}.eu-west-1.compute.internal:8080» is down",
    "«gpu{n}.corp» is down",
    "«llm{n}.prod.svc» is down",
    "http://«vllm-{n}:8000»/v1/chat/completions",
    "http://«triton-{n}.ml.svc.cluster.local:8000»/v2/health/ready",
    "HTTPConnectionPool(host='«vllm-backend-{n}»', port=8000): Max retries exceeded",
];

const FILES: &[&str] = &[
    "No such file: «/home/runner/{a8}/weights.safetensors»",
    "cannot open «/mnt/models/{a8}/config.json»",
    "permission denied: «/var/run/secrets/{a8}/token»",
    "in «/opt/conda/lib/python3.11/site-packages/{a8}/engine.py:412»",
    "«/root/.cache/huggingface/hub/{a8}» is full",
    "«~/.ssh/{a8}» is missing",
    "«file:///srv/{a8}/model.onnx»",
    "«C:\\Users\\svc-{a8}\\AppData\\model.gguf» is missing",
    "«C:\\Program Files\\{a8}\\server.exe» failed",
    "«C:/srv/{a8}/model.gguf» is missing",
    "«\\\\fileserver\\{a8}\\model.bin» is missing",
    "«./checkpoints/{a8}/model.safetensors» is missing",
    "panicked at «src/{a8}/scheduler.rs:120:9»: boom",
];

const TRACES: &[&str] = &[
    "«Traceback (most recent call last):\n  File \"/app/{a8}.py\", line 94, in step_{a8}\n    run_{a8}()\n»ValueError: bad role",
    "«Traceback (most recent call last):\n  File \"{a8}.py\", line 9, in <module>\n    main_{a8}()\n  File \"{a8}.py\", line 7, in main\n    raise_{a8}()\n»torch.OutOfMemoryError: full",
    "java.lang.IllegalStateException: x\n\t«at com.acme.{a8}.Handler.run(Handler.java:12)\n\tat com.acme.{a8}.Main.main(Main.java:4)»",
    "TypeError: x\n    «at async {a8}.generate (/srv/{a8}/index.js:10:5)\n    at main (node:internal/{a8}:1:2)»",
    "panic: x\n\n«goroutine 17 [running]:\nmain.{a8}(0xc000012345)\n\t/src/{a8}.go:12 +0x1d»",
    "boom\n«stack backtrace:\n   0: {a8}::scheduler::step\n   1: main::{a8}»",
    "System.Exception: x\n   «at Acme.{a8}.Handler.Run(String name) in C:\\src\\{a8}\\Handler.cs:line 41»",
    "undefined method\n«/srv/app/{a8}.rb:12:in `run_{a8}'»",
    "Fatal error\n«#0 /srv/{a8}/index.php(12): App\\{a8}->run()\n#1 {a8}»",
];

const ACCOUNTS: &[&str] = &[
    "in organization «org-{a24}»",
    "in organization `«org_01{a24}»`",
    "project «proj_{a24}»",
    "Project '«proj_{a20}»' has no access",
    "organization «{h8}-{h4}-{h4}-{h4}-{h12}» is disabled",
    "API not used in project «{d12}» before",
    "projects/«acme-prod-{d4}»/locations/us-central1/models/x",
    "consumer 'projects/«{d12}»'",
    "User «arn:aws:sts::{d12}:assumed-role/{a8}/worker» may not invoke",
    "/subscriptions/«{h8}-{h4}-{h4}-{h4}-{h12}»/resourceGroups/«{a8}»/providers",
    "account «{d12}» is suspended",
    "tenant_id: «{h8}-{h4}-{h4}-{h4}-{h12}»",
];

/// A kind and its templates.
const PLANTED: &[(&str, &[&str])] = &[
    ("credential", CREDENTIALS),
    ("named value", NAMED),
    ("url", URLS),
    ("private key", PRIVATE_KEYS),
    ("host or address", PLACES),
    ("file", FILES),
    ("stack trace", TRACES),
    ("account", ACCOUNTS),
];

const SENTENCES: &[&str] = &[
    "Request failed: {}",
    "Request failed ({})",
    "Request failed for model gpt-4o: \"{}\" was not accepted",
    "Request failed: `{}`, try another",
    "Request failed: 无效的令牌 {}，请检查",
    "Request failed upstream; cause={}",
];

/// Numbers without end, the same in every run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self, below: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % below
    }

    fn pick<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.next(of.len())]
    }

    /// Fills in a template.
    fn write(&mut self, template: &str) -> String {
        let mut out = String::new();
        let mut rest = template;
        while let Some((before, after)) = rest.split_once('{') {
            out.push_str(before);
            let field = after.split_once('}').filter(|(field, _)| is_field(field));
            rest = match field {
                Some(("n", rest)) => {
                    write!(out, "{}", 2 + self.next(200)).unwrap();
                    rest
                }
                Some((field, rest)) => {
                    self.letters(&field[..1], field[1..].parse().unwrap(), &mut out);
                    rest
                }
                None => {
                    out.push('{');
                    after
                }
            };
        }
        out.push_str(rest);
        out
    }

    fn letters(&mut self, kind: &str, count: usize, out: &mut String) {
        let all = "0123456789abcdefABCDEFGHIJKLMNOPQRSTUVWXYZghijklmnopqrstuvwxyz_-";
        for at in 0..count {
            let from = match kind {
                "d" => &all[..10],
                "h" => &all[..16],
                "U" => &all[16..42],
                // Real ones have a digit; make sure of it, and of letters at both ends.
                _ if at % 7 == 3 => &all[..10],
                "w" if at > 0 && at + 1 < count => all,
                _ => &all[10..62],
            };
            let letter = if kind == "U" && at % 5 == 3 { &all[2..8] } else { from };
            out.push(char::from(letter.as_bytes()[self.next(letter.len())]));
        }
    }
}

fn is_field(field: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    field.len() <= 4 && field.starts_with(['a', 'w', 'h', 'd', 'U', 'n']) && digits(&field[1..])
}

/// A text and what of it must be hidden.
struct Secret {
    text: String,
    hidden: Vec<String>,
}

impl Secret {
    fn new(marked: &str) -> Self {
        let hidden = marked.split('«').skip(1).map(|part| part.split('»').next().unwrap());
        // A line of a trace or key is a secret of its own: one that is left is one too many.
        let lines = hidden.flat_map(str::lines).map(str::trim);
        let hidden = lines.filter(|line| line.len() > 5).map(str::to_owned).collect();
        Self { text: marked.replace(['«', '»'], ""), hidden }
    }

    /// What of it can be read in what a client gets.
    fn leak<'a>(&'a self, seen: &[String]) -> Option<&'a String> {
        self.hidden.iter().find(|hidden| seen.iter().any(|seen| seen.contains(&***hidden)))
    }
}

/// The text as a client or a person may read it: escapes undone up to four times.
fn readings(text: &str) -> Vec<String> {
    let mut readings = vec![text.to_owned()];
    for _ in 0..4 {
        let last = readings.last().unwrap();
        readings.push(percent_decoded(last));
        let next = json_unescaped(readings.last().unwrap());
        readings.push(next);
    }
    readings
}

fn json_unescaped(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        let letter = after.chars().next().unwrap_or(' ');
        let code = after.get(1..5).and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let code = code.filter(|_| letter == 'u').and_then(char::from_u32);
        let (plain, used) = match (letter, code) {
            (_, Some(code)) => (code, 5),
            ('n', _) => ('\n', 1),
            ('t', _) => ('\t', 1),
            ('"' | '/' | '\\', _) => (letter, 1),
            _ => ('\\', 0),
        };
        out.push(plain);
        rest = after.get(used..).unwrap_or_default();
    }
    out + rest
}

fn percent_decoded(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        let byte = after.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match byte.filter(u8::is_ascii) {
            Some(byte) => {
                out.push(char::from(byte));
                rest = &after[2..];
            }
            None => {
                out.push('%');
                rest = after;
            }
        }
    }
    out + rest
}

fn percent_encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").unwrap();
        }
    }
    out
}

/// How a text may be spelled inside of a message.
fn spellings(text: &str) -> Vec<(&'static str, String)> {
    let quoted = json!({ "error": { "message": text } }).to_string();
    let twice = json!({ "error": quoted }).to_string();
    let slashes = quoted.replace('/', "\\/");
    let codes: String = text
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_string()
            } else {
                format!("\\u{:04x}", u32::from(c))
            }
        })
        .collect();
    vec![
        ("plain", text.to_owned()),
        ("JSON", quoted),
        ("JSON twice", twice),
        ("JSON with \\/", slashes),
        ("JSON with \\u", codes),
        ("URL", format!("https://example.com/log?q={}", percent_encoded(text))),
    ]
}

/// Bodies as upstreams write them.
fn bodies(message: &str) -> [(&'static str, String); 6] {
    let flat = json!({ "object": "error", "message": message, "type": "x", "code": 500 });
    [
        (
            "application/json",
            json!({ "error": { "message": message, "type": "server_error" } }).to_string(),
        ),
        ("application/json", flat.to_string()),
        ("application/json", json!({ "error": message }).to_string()),
        ("application/json", json!({ "detail": message }).to_string()),
        (
            "application/json",
            json!({ "type": "error", "error": { "type": "api_error", "message": message } })
                .to_string(),
        ),
        ("text/plain", message.to_owned()),
    ]
}

/// Two frames, parted within the secret.
fn in_two(text: &str, secret: &str) -> Script {
    let head: String = secret.chars().take(6).collect();
    let at = text.find(&head).map_or(text.len() / 2, |at| at + 6);
    let (one, two) = text.as_bytes().split_at(at);
    Script::frames([one, two])
}

/// All that a client reads, the body and every header, and what a log would say of the error.
async fn seen(layer: &ErrorNormalizationLayer, path: &str, upstream: Response<Script>) -> String {
    let (head, body) = script::text(script::answer(layer, path, upstream).await).await;
    let log = head.extensions.get::<InferenceError>().map(|error| format!("{error} {error:?}"));
    format!("{} {:?}\n{body}\n{log:?}", head.status, head.headers)
}

const STATUSES: [u16; 9] = [400, 401, 403, 404, 422, 429, 500, 502, 503];
const PATHS: [&str; 4] =
    ["/v1/chat/completions", "/v1/messages", "/v1/responses", "/v1/embeddings"];
const STARTS: [(&str, &str); 2] = [
    (
        "/v1/chat/completions",
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi\"}}]}\n\n",
    ),
    ("/v1/messages", "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{}}\n\n"),
];

#[tokio::test(start_paused = true)]
async fn no_planted_secret_reaches_a_client() {
    let layer = ErrorNormalizationLayer::new();
    let open = ErrorNormalizationLayer::new().disclosure(Disclosure::default().redaction(false));
    let mut numbers = Numbers(4);
    let mut planted = BTreeMap::new();
    let mut leaks = Vec::new();
    let mut turn = 0;
    for (kind, template) in
        PLANTED.iter().flat_map(|(kind, all)| all.iter().map(move |t| (*kind, *t)))
    {
        let secret = Secret::new(&numbers.write(template));
        for (spelling, text) in spellings(&secret.text) {
            turn += 1;
            let message = SENTENCES[turn % SENTENCES.len()].replace("{}", &text);
            let (content_type, body) = bodies(&message)[turn % 6].clone();
            let status = STATUSES[turn % STATUSES.len()];
            let answer = || {
                Response::builder()
                    .status(StatusCode::from_u16(status).unwrap())
                    .header("content-type", content_type)
                    .body(in_two(&body, &secret.hidden[0]))
                    .unwrap()
            };
            let path = PATHS[turn % PATHS.len()];
            let shown = readings(&seen(&open, path, answer()).await);
            assert!(secret.leak(&shown).is_some(), "{spelling} {template} is not looked for well");
            let whole = seen(&layer, path, answer()).await;

            let (path, start) = STARTS[turn % 2];
            let error =
                json!({ "type": "error", "error": { "message": message, "type": "api_error" } });
            let events = format!("{start}event: error\ndata: {error}\n\n");
            let late = script::stream(in_two(&events, &secret.hidden[0]));
            let streamed = seen(&layer, path, late).await;
            for seen in [whole, streamed] {
                assert!(seen.contains("Request failed"), "the sentence is gone: {seen}");
                *planted.entry(kind).or_insert(0) += 1;
                if let Some(leak) = secret.leak(&readings(&seen)) {
                    leaks.push(format!("{spelling} {template:?}: {leak:?} in {seen}"));
                }
            }
        }
    }
    let count: usize = planted.values().sum();
    println!("planted secrets: {count}, leaked: {}; by kind: {planted:?}", leaks.len());
    assert!(count >= 500);
    assert!(CREDENTIALS.len() >= 25);
    assert!(leaks.is_empty(), "{}", leaks.join("\n"));
}

/// The provider's type, parameter and request id are shown too, and so are headers of the upstream.
#[tokio::test(start_paused = true)]
async fn no_secret_reaches_a_client_beside_the_message() {
    let mut numbers = Numbers(5);
    let mut leaks = Vec::new();
    let layer = ErrorNormalizationLayer::new();
    for template in CREDENTIALS.iter().chain(NAMED) {
        let secret = Secret::new(&numbers.write(template));
        for path in PATHS {
            let members = ["type", "code", "param", "request_id"];
            let headers =
                ["x-request-id", "x-amzn-errortype", "www-authenticate", "via", "x-upstream"];
            for member in members.into_iter().chain(headers) {
                let mut body = json!({ "error": { "message": "no", "type": "x", "code": "y" } });
                let mut answer =
                    Response::builder().status(400).header("content-type", "application/json");
                if headers.contains(&member) {
                    answer = answer.header(member, format!("1.1 said \"{}\"", secret.text));
                } else {
                    body["error"][member] = Value::from(&*secret.text);
                    body[member] = Value::from(&*secret.text);
                }
                let answer = answer.body(Script::frames([body.to_string()])).unwrap();
                let seen = seen(&layer, path, answer).await;
                if let Some(leak) = secret.leak(&readings(&seen)) {
                    leaks.push(format!("{path} {member}: {leak} in {seen}"));
                }
            }
        }
    }
    assert!(leaks.is_empty(), "{} leaks, such as {}", leaks.len(), leaks[0]);
}

const HARMLESS: &[&str] = &[
    "The model `{model}` does not exist or you do not have access to it.",
    "This model's maximum context length is {count} tokens. However, you requested {count} tokens ({count} in the messages, {number} in the completion).",
    "Rate limit reached for {model} on tokens per min (TPM): Limit {count}, Used {count}, Requested {number}. Please try again in {number}.{number}s.",
    "models/{model} is not found for API version {version}, or is not supported for generateContent.",
    "Model {model} was retired on {date}; use {model} instead.",
    "See {url} for the list of models and/or regions.",
    "You exceeded your current quota, please check your plan and billing details: {url}.",
    "Unknown request URL: POST {path}. Please check the URL for typos, or see {url}.",
    "Cannot GET {path}",
    "Invalid value for '{param}': expected a number between 0 and {number}, got {number}.{number}.",
    "{param}: Input should be less than or equal to {count}",
    "max_tokens={count} is above the limit of {model}, {param}={number}",
    "`{param}` and `{param}` cannot be used together with {model} before {version}",
    "prompt is too long: {count} tokens > {count} maximum",
    "Requests: {number}/{count} per minute, tokens: {number}/{count}, ratio 1:{number}",
    "Invalid API key provided: sk-ab**********{number}. You can find your API key at {url}.",
    "Missing bearer or basic authentication in header; use 'Authorization: Bearer YOUR_API_KEY'.",
    "upstream connect error or disconnect/reset before headers. reset reason: connection timeout",
    "The server had an error while processing your request at {date}T{time}Z, request req_{hex}.",
    "Engine core is not ready, retry in {number}s (version {version}, build {number}.{number}.{number})",
    "image_url: could not fetch https://example.com/images/{number}.png, got {number} bytes of image/png",
    "tool_calls[{number}].function.arguments: invalid JSON at line {number} column {number}",
    "messages.{number}.content.{number}.text: field required",
    "sha256:{hex}{hex} is not the digest of {model}",
    "connect to 203.0.113.{number}:443 and 198.51.100.{number} failed, 192.0.2.{number} works",
    "The local model {model} is loading, {number} % done; n_ctx={count}, kv cache {number}.{number} GiB",
    "Content-Type must be application/json; charset=utf-8, not text/plain",
    "Failed to parse field 'key': token: expected {number} tokens at position {count}",
    "quantization fp8/int4 needs compute capability {number}.{number}; CUDA {version}",
    "The project has no quota for {model}; its organization may ask for more at {url}",
    "{model}: größer als {count} Token",
    "模型 {model} 不存在，请检查 {param} 是否正确，最大 {count}",
    "Service {model}: {number} of {number} workers/replicas ready as of {date} {time}",
    "Please reduce the length of the messages or completion; {model} allows {count} input/output tokens.",
    "stop=[\"</s>\", \"<|eot_id|>\"] is not valid for {model}; eos_token: <|endoftext|>",
    "Supported: {model}, {model} and {model}; text/audio/vision, at N/A cost",
];

const WORDS: &[(&str, &[&str])] = &[
    (
        "model",
        &[
            "gpt-4o-mini-2024-07-18",
            "gpt-5.1-codex-max",
            "o4-mini",
            "claude-sonnet-4-5-20250929",
            "claude-3-5-haiku@20241022",
            "gemini-2.5-flash-preview-09-2025",
            "meta-llama/Llama-3.3-70B-Instruct-Turbo",
            "Qwen/Qwen2.5-72B-Instruct-GPTQ-Int4",
            "mistralai/Mixtral-8x22B-Instruct-v0.1",
            "deepseek-ai/DeepSeek-R1-Distill-Qwen-32B",
            "anthropic.claude-3-5-sonnet-20241022-v2:0",
            "us.amazon.nova-premier-v1:0",
            "accounts/fireworks/models/llama-v3p1-405b-instruct",
            "command-r-plus-08-2024",
            "text-embedding-3-large",
            "ft:gpt-4o-mini-2024-07-18:acme::AbC12xYz",
            "llama3.2:3b-instruct-q4_K_M",
            "nvidia/llama-3.1-nemotron-ultra-253b-v1",
            "moonshotai/kimi-k2-0905",
            "openrouter/auto",
        ],
    ),
    (
        "url",
        &[
            "https://platform.openai.com/account/api-keys",
            "https://docs.anthropic.com/en/api/errors#http-errors",
            "https://ai.google.dev/gemini-api/docs/rate-limits?hl=en&tier=1",
            "https://console.groq.com/settings/billing",
            "https://huggingface.co/meta-llama/Llama-3.1-8B/resolve/main/config.json",
            "https://docs.python.org/3/library/json.html?highlight=dumps",
            "http://example.com:8080/docs/a%20b",
            "https://errors.pydantic.dev/2.9/v/missing",
        ],
    ),
    (
        "path",
        &[
            "/v1/chat/completions",
            "/v1/models/gpt-4o",
            "/v1beta/models/gemini-2.5-pro:generateContent",
            "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21",
            "/api/generate",
            "/v2/models/llama/ready",
            "/v1/files/batch.jsonl",
            "/compatible-mode/v1/embeddings",
            "/inference/v1/completions",
        ],
    ),
    (
        "param",
        &[
            "temperature",
            "max_completion_tokens",
            "top_p",
            "messages.0.content",
            "tools[1].function.name",
            "response_format",
            "seed",
            "logit_bias",
            "stream_options.include_usage",
        ],
    ),
    ("version", &["v1beta", "1.2.3.4", "v0.10.1", "2024-10-21", "12.4", "3.0.0-rc.2"]),
    ("date", &["2026-11-20", "2025/01/31", "Nov 20 2026", "20.11.2026"]),
    ("time", &["12:30:45", "00:00:01.123", "23:59"]),
];

/// A harmless sentence; no two are likely to be the same.
fn harmless(numbers: &mut Numbers, template: &str) -> String {
    let mut text = template.to_owned();
    while let Some((start, name, end)) = text.find('{').and_then(|start| {
        let end = start + text[start..].find('}')?;
        Some((start, text[start + 1..end].to_owned(), end))
    }) {
        let word = match &*name {
            "count" => (1000 + numbers.next(300_000)).to_string(),
            "number" => (1 + numbers.next(250)).to_string(),
            "hex" => numbers.write("{h32}"),
            name => {
                let (_, words) = WORDS.iter().find(|(known, _)| *known == name).unwrap();
                numbers.pick(words).to_owned()
            }
        };
        text.replace_range(start..=end, &word);
    }
    text
}

#[test]
fn harmless_sentences_are_left_alone() {
    let mut numbers = Numbers(6);
    let sentences: Vec<_> = HARMLESS
        .iter()
        .flat_map(|t| (0..40).map(|_| harmless(&mut numbers, t)).collect::<Vec<_>>())
        .collect();
    let touched: Vec<_> = sentences.iter().filter(|text| redact(text) != ***text).collect();
    println!("harmless sentences: {}, touched: {}", sentences.len(), touched.len());
    let examples: Vec<_> =
        touched.iter().map(|text| format!("{text} -> {}", redact(text))).collect();
    assert!(sentences.len() >= 1000);
    assert!(touched.len() * 100 <= sentences.len(), "{}", examples.join("\n"));
}
