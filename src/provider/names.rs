//! The names that providers give to failures in `code`, `type`, `status`, `reason` and the like.
//!
//! The same few names are spelled in many ways: `rate_limit_error`, `RateLimitError`,
//! `RATE_LIMIT_EXCEEDED`. They are compared without case, punctuation and the endings `error` and
//! `exception`. A name that says less than the status does, such as `invalid_request_error`, decides
//! only where there is no status: see [`status`].

use super::plain::Plain;
use crate::error::Category;
use http::StatusCode;
use std::{borrow::Cow, collections::HashMap, sync::LazyLock};

/// The names that decide, whatever the status. Every name stands here once.
const NAMES: &[(Category, &[&str])] = &[
    (
        Category::Authentication,
        &[
            "apikeyinvalid",         // Google
            "authentication",        // OpenAI, Anthropic, llama.cpp
            "authfailure",           // Tencent Cloud
            "expiredkey",            // LiteLLM
            "expiredtoken",          // AWS
            "incompletesignature",   // AWS
            "invalidapikey",         // OpenAI
            "invalidauthentication", // Moonshot
            "invalidclienttokenid",  // AWS
            "invalidsignature",      // AWS
            "invalidaccesstoken",    // Apigee
            "missingapikey",         // Fireworks, Voyage
            "requestexpired",        // AWS
            "signaturedoesnotmatch", // AWS
            "invalidtoken",          // RFC 6750
            "unauthenticated",       // Google
            "unrecognizedclient",    // AWS
        ],
    ),
    (
        Category::Permission,
        &[
            "accessdenied",                      // AWS, DashScope
            "accountdeactivated",                // OpenAI
            "consumerinvalid",                   // Google
            "consumersuspended",                 // Google
            "iampermissiondenied",               // Google
            "ipnotauthorized",                   // OpenAI
            "keymodelaccessdenied",              // LiteLLM
            "missingpermissions",                // ElevenLabs
            "modelidaccessdisabled",             // Volcengine
            "modelnotopen",                      // Volcengine
            "modeltermsrequired",                // Groq
            "optinrequired",                     // AWS
            "orgmodelaccessdenied",              // LiteLLM
            "organizationrestricted",            // Groq
            "permission",                        // Anthropic, llama.cpp
            "permissiondenied",                  // Google, OpenAI
            "servicedisabled",                   // Google
            "teammodelaccessdenied",             // LiteLLM
            "unauthorizedoperation",             // Tencent Cloud
            "unsupportedcountryregionterritory", // OpenAI
            "usermodelaccessdenied",             // LiteLLM
        ],
    ),
    (
        Category::ContextLengthExceeded,
        &[
            "contextexceeded",       // ds4
            "characterstoolong",     // Qianfan
            "contextlengthexceeded", // OpenAI
            "outofcontext",          // Volcengine
            "contextwindowexceeded", // LiteLLM
            "exceedcontextsize",     // llama.cpp
            "tokenstoolong",         // UCloud
        ],
    ),
    (
        Category::ContentFilter,
        &[
            "contentfilter",                       // OpenAI, Azure
            "contentmoderation",                   // Stability AI
            "contentpolicyviolation",              // OpenAI images, OpenRouter
            "datainspectionfailed",                // DashScope
            "inputimagesensitivecontentdetected",  // Volcengine
            "inputtextsensitivecontentdetected",   // Volcengine
            "inputvideosensitivecontentdetected",  // Volcengine
            "outputimagesensitivecontentdetected", // Volcengine
            "outputtextsensitivecontentdetected",  // Volcengine
            "outputvideosensitivecontentdetected", // Volcengine
            "inputimageriskdetection",             // Volcengine
            "inputtextriskdetection",              // Volcengine
            "outputimageriskdetection",            // Volcengine
            "outputtextriskdetection",             // Volcengine
            "sensitivecontentdetected",            // Volcengine
            "unsaferequest",                       // Qianfan
            "moderationblocked",                   // OpenAI images
            "policyrejected",                      // OpenAI-compatible gateways
            "responsibleaipolicyviolation",        // Azure
        ],
    ),
    (Category::RequestTooLarge, &["maxtokensperrequest", "payloadtoolarge", "requesttoolarge"]),
    (
        Category::ModelNotFound,
        &[
            "deploymentnotfound",   // Azure
            "invalidmodel",         // Perplexity
            "modeldecommissioned",  // Groq
            "modelnotavailable",    // Together
            "modelnotfound",        // OpenAI
            "modelnotsupported",    // Hugging Face
            "resourcedoesnotexist", // Databricks
            "unknownmodel",         // GitHub Models
        ],
    ),
    (Category::NotFound, &["unknownurl"]), // Groq
    (
        Category::RateLimited,
        &[
            "dynamicrequestlimited",     // Together
            "dynamictokenlimited",       // Together
            "ratelimit",                 // OpenAI, Anthropic
            "ratelimitexceeded",         // OpenAI, Google
            "ratelimitreached",          // Moonshot
            "requestlimitexceeded",      // Databricks
            "quotaviolation",            // Apigee
            "requestquotaexceeded",      // Cerebras
            "requests",                  // OpenAI
            "spikearrestviolation",      // Apigee
            "throttling",                // AWS, DashScope, LiteLLM
            "throttlingallocationquota", // DashScope
            "throttlingratequota",       // DashScope
            "tokens",                    // OpenAI
            "toomanyrequests",
        ],
    ),
    (
        Category::QuotaExhausted,
        &[
            "accountoverdue",               // Volcengine
            "apikeyquotaexhausted",         // sub2api
            "arrearage",                    // DashScope
            "billing",                      // Anthropic
            "billingdisabled",              // Google
            "billinghardlimitreached",      // OpenAI
            "billingnotactive",             // OpenAI
            "blockedapiaccess",             // Groq: a limit of what may be spent
            "budgetexceeded",               // LiteLLM
            "credits",                      // OpenCode
            "customerverificationrequired", // Vercel: a credit card
            "exceededcurrentquota",         // Moonshot
            "insufficientbalance",
            "insufficientfunds",             // Vercel
            "insufficientg1creditsbalance",  // Google
            "insufficientquota",             // OpenAI
            "insufficientuserquota",         // one-api
            "invalidsubscription",           // Volcengine
            "filequotaexceeded",             // Volcengine
            "limitexceeded",                 // AWS API Gateway
            "operationdeniedserviceoverdue", // Volcengine
            "outofcredit",                   // RFC 9457
            "paymentrequired",               // OpenRouter
            "providerquotaexceeded",         // Dify
            "quotaexhausted",                // Google
            "servicequotaexceeded",          // AWS
            "spendinglimit",                 // xAI
            "tokenquotareached",             // watsonx
            "setlimitexceeded",              // Volcengine
            "usagelimitreached",             // OpenAI, for a plan
        ],
    ),
    (
        Category::Overloaded,
        &[
            "capacityexceeded",           // Groq
            "engineoverloaded",           // Moonshot
            "insufficientsystemresource", // DeepSeek
            "modelcapacityexhausted",     // Google
            "noavailableworkers",         // SGLang router
            "noworkers",                  // SGLang router
            "overloaded",                 // Anthropic, Dynamo, TEI, TGI
            "provideroverloaded",         // OpenRouter
            "queueexceeded",              // Cerebras
            "schedulerpreempted",         // SGLang model gateway
            "schedulerqueuefull",         // SGLang model gateway
            "schedulerqueuetimeout",      // SGLang model gateway
            "serveroverloaded",           // Volcengine
            "serverisoverloaded",         // OpenAI Responses
            "slowdown",                   // OpenAI
            "systembusy",                 // ElevenLabs
        ],
    ),
    (
        Category::ModelNotReady,
        &[
            "dedicatedendpointnotrunning", // Together
            "modelloading",                // LocalAI
            "closedendpoint",              // Volcengine
            "endpointpaused",              // RunPod
            "modelnotready",               // AWS
            "modelnotloaded",
        ],
    ),
    (
        Category::Timeout,
        &["deadlineexceeded", "gatewaytimeout", "modeltimeout", "requesttimeout", "timeout"],
    ),
    (Category::Conflict, &["aborted", "conflict"]),
    (
        Category::Unsupported,
        &[
            "methodnotallowed",
            "notimplemented",
            "notsupported",
            "operationnotsupported", // Azure
            "unimplemented",
            "unsupported",
            "unsupportedmodel",     // Volcengine: for this API
            "unsupportedoperation", // DashScope
        ],
    ),
    (Category::Cancelled, &["canceled", "cancelled", "schedulerclientcancelled"]),
    (
        Category::UpstreamError,
        &[
            "badresponsestatuscode", // one-api
            "modelstream",           // AWS
            "providerunavailable",   // OpenRouter
            "routerunavailable",     // Xinference
        ],
    ),
];

/// Names that mean something only with these statuses; most are numbers.
const GATED: &[(&str, &[u16], Category)] = &[
    ("10402", &[504], Category::Timeout), // LMDeploy's proxy
    ("1110", &[401, 403, 429], Category::Permission), // Zhipu: the account is not active
    ("1112", &[401, 403, 429], Category::Permission), // Zhipu: the account is locked
    ("11200", &[403, 500], Category::Permission), // iFlytek Spark
    ("1113", &[400, 429], Category::QuotaExhausted), // Zhipu
    ("1121", &[401, 403, 429], Category::Permission), // Zhipu: the account is banned
    ("1211", &[400, 404], Category::ModelNotFound), // Zhipu
    ("1212", &[400], Category::Unsupported), // Zhipu
    ("1220", &[400, 403, 429], Category::Permission), // Zhipu
    ("1261", &[400], Category::ContextLengthExceeded), // Zhipu
    ("1301", &[400], Category::ContentFilter), // Zhipu
    ("1304", &[429], Category::QuotaExhausted), // Zhipu: calls of a day
    ("1309", &[429], Category::QuotaExhausted), // Zhipu: the plan has expired
    ("1310", &[429], Category::QuotaExhausted), // Zhipu: a week or month
    ("1312", &[429], Category::Overloaded), // Zhipu
    ("2016", &[400, 403, 424], Category::ContentFilter), // Cloudflare AI Gateway: the prompt
    ("2017", &[400, 403, 424], Category::ContentFilter), // Cloudflare AI Gateway: the answer
    ("3036", &[429], Category::QuotaExhausted), // Workers AI
    ("30003", &[403], Category::ModelNotFound), // SiliconFlow: disabled
    ("30011", &[403], Category::QuotaExhausted), // SiliconFlow: a model that must be paid for
    ("3030", &[400], Category::ContextLengthExceeded), // Workers AI
    ("3040", &[429], Category::Overloaded), // Workers AI
    ("3042", &[404], Category::ModelNotFound), // Workers AI
    ("40101", &[400], Category::Authentication), // FastChat, whose status is always 400
    ("40102", &[400], Category::Authentication), // FastChat
    ("40103", &[400], Category::Permission), // FastChat
    ("40301", &[400], Category::ModelNotFound), // FastChat
    ("40303", &[400], Category::ContextLengthExceeded), // FastChat
    ("42901", &[400], Category::RateLimited), // FastChat
    ("42902", &[400], Category::QuotaExhausted), // FastChat
    ("42903", &[400], Category::Overloaded), // FastChat
    ("50001", &[400], Category::UpstreamError), // FastChat
    ("50002", &[400], Category::UpstreamError), // FastChat
    ("50005", &[400], Category::Overloaded), // FastChat: no worker
    ("50006", &[400], Category::Timeout), // FastChat: a worker
    ("5007", &[400], Category::ModelNotFound), // Workers AI
    ("5028", &[410], Category::ModelNotFound), // Workers AI: deprecated
    ("7003", &[400, 404], Category::NotFound), // Cloudflare: no such route
    ("quotaexceeded", &[401, 403, 429], Category::QuotaExhausted), // Volcengine, ElevenLabs
    ("model", &[424], Category::UpstreamError), // AWS ModelErrorException
];

/// Names that stand for a status and are not its reason phrase.
const STATUSES: &[(&str, u16)] = &[
    ("api", 500),                  // Anthropic
    ("backend", 500),              // TEI
    ("generation", 500),           // TGI
    ("incompletegeneration", 500), // TGI
    ("internal", 500),             // Google
    ("invalidargument", 400),      // Google
    ("invalidrequest", 400),       // OpenAI, Anthropic
    ("failedprecondition", 400),   // Google
    ("resourceexhausted", 429),    // Google
    ("server", 500),               // OpenAI
    ("unavailable", 503),          // Google, llama.cpp
    ("upstream", 502), // one-api and its like, which hand on the status of whoever failed
    ("validation", 422), // AWS, TEI, TGI
];

/// All that is known of a name.
#[derive(Default)]
struct Meaning {
    category: Option<Category>,
    /// What it means with these statuses only.
    gated: Option<(&'static [u16], Category)>,
    status: Option<u16>,
}

type Meanings = HashMap<Cow<'static, [u8]>, Meaning, foldhash::fast::FixedState>;

static MEANINGS: LazyLock<Meanings> = LazyLock::new(|| {
    let mut meanings = Meanings::with_capacity_and_hasher(512, Default::default());
    let key = |name: &'static str| Cow::Borrowed(name.as_bytes());
    for (category, names) in NAMES {
        for name in *names {
            meanings.entry(key(name)).or_default().category = Some(*category);
        }
    }
    for (name, statuses, category) in GATED {
        meanings.entry(key(name)).or_default().gated = Some((*statuses, *category));
    }
    for (name, status) in STATUSES {
        meanings.entry(key(name)).or_default().status = Some(*status);
    }
    for status in 400..600 {
        let reason = StatusCode::from_u16(status).ok().and_then(|it| it.canonical_reason());
        let Some(reason) = reason.map(Plain::of) else { continue };
        let meaning = meanings.entry(reason.as_bytes().to_vec().into()).or_default();
        meaning.status = meaning.status.or(Some(status));
    }
    meanings
});

/// What a name alone means, in an answer of this status (0: none).
///
/// Of a name in parts (`OperationDenied.ServiceOverdue`, `unauthenticated:bad-credentials`), what is not
/// known as a whole goes by its last part, then by its first.
pub(super) fn category(name: &str, status: u16) -> Option<Category> {
    category_of(name, status).or_else(|| {
        let (first, _) = name.split_once(['.', ':'])?;
        let last = name.rsplit(['.', ':']).next().unwrap_or(name);
        category_of(last, status).or_else(|| category_of(first, status))
    })
}

fn category_of(name: &str, status: u16) -> Option<Category> {
    let meaning = MEANINGS.get(Plain::of(name).as_bytes())?;
    let gated = meaning.gated.filter(|(statuses, _)| status == 0 || statuses.contains(&status));
    meaning.category.or(gated.map(|(_, category)| category))
}

/// The status that a name stands for: `BadRequestError`, `Service Unavailable`, `INTERNAL`.
pub(super) fn status(name: &str) -> Option<u16> {
    MEANINGS.get(Plain::of(name).as_bytes())?.status
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_spelled_in_many_ways() {
        for name in ["rate_limit_error", "RateLimitError", "RATE-LIMIT", "rateLimitException"] {
            assert_eq!(category(name, 0), Some(Category::RateLimited), "{name}");
        }
        for name in ["RateLimitExceeded.EndpointRPM", "OperationDenied.RateLimitExceeded"] {
            assert_eq!(category(name, 0), Some(Category::RateLimited), "{name}");
        }
        assert_eq!(category("unauthenticated:bad-credentials", 0), Some(Category::Authentication));
        assert_eq!(category("team-blocked:spending-limit", 0), Some(Category::QuotaExhausted));
        for name in ["", "invalid_request_error", "server_error", "author", "5", "é"] {
            assert_eq!(category(name, 0), None, "{name}");
        }
    }

    #[test]
    fn every_name_is_listed_once_and_in_its_plain_form() {
        let numbers = GATED.iter().map(|(name, _, _)| *name);
        let statuses = STATUSES.iter().map(|(name, _)| *name);
        let names = NAMES.iter().flat_map(|(_, names)| *names).copied();
        let mut all: Vec<_> = names.chain(numbers).chain(statuses).collect();
        assert!(all.iter().all(|name| Plain::of(name).as_bytes() == name.as_bytes()));
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }

    #[test]
    fn a_number_means_something_only_with_its_status() {
        assert_eq!(category("1113", 429), Some(Category::QuotaExhausted));
        assert_eq!(category("1113", 500), None);
        assert_eq!(category("1113", 0), Some(Category::QuotaExhausted));
    }

    #[test]
    fn names_that_say_no_more_than_a_status_stand_for_it() {
        let table = [
            ("BadRequestError", Some(400)),
            ("Service Unavailable", Some(503)),
            ("InternalServerError", Some(500)),
            ("INTERNAL", Some(500)),
            ("upstream_error", Some(502)),
            ("not_found_error", Some(404)),
            ("NotFound", Some(404)),
            ("error", None),
            ("", None),
        ];
        for (name, expected) in table {
            assert_eq!(status(name), expected, "{name}");
        }
    }
}
