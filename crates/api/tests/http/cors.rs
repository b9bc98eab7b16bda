//! Scripts of other origins' pages: what a browser is told of them.

use bailey_api::Config;

use crate::fake::{Answer, api_with, request};

const PAGE: (&str, &str) = ("Origin", "https://console.example.org");
const METHOD: (&str, &str) = ("Access-Control-Request-Method", "PUT");
const HEADERS: (&str, &str) = ("Access-Control-Request-Headers", "x-auth-token,content-type, Idempotency-Key");

async fn answer(origins: &[&str], line: &str, headers: &[(&str, &str)]) -> Answer {
    let mut config = Config::default();
    config.cors.allowed_origins = origins.iter().map(|&origin| origin.to_owned()).collect();
    config.cors.allow_credentials = origins.len() > 1;
    api_with(config).await.send(request(line, headers, b"")).await
}

fn granted(answer: &Answer) -> Option<&str> {
    answer.header("access-control-allow-origin")
}

#[actix_web::test]
async fn a_script_reads_what_its_origin_is_allowed() {
    for (origins, expected) in [
        (&[] as &[&str], None),
        (&["https://other.example.org"], None),
        (&["https://console.example.org"], Some("https://console.example.org")),
        (&["https://a.example.org", "https://console.example.org"], Some("https://console.example.org")),
        (&["*"], Some("*")),
    ] {
        // What needs credentials, and what there isn't: a script has to see why it is refused.
        for line in ["GET /v1/secrets", "GET /nothing", "GET /livez"] {
            let answer = answer(origins, line, &[PAGE]).await;
            assert_eq!(granted(&answer), expected, "{line} {origins:?}");
            let exposed = answer.header("access-control-expose-headers").unwrap_or_default();
            assert_eq!(exposed.contains("X-Openstack-Request-Id"), expected.is_some(), "{exposed}");
            let credentials = answer.header("access-control-allow-credentials");
            assert_eq!(credentials, (origins.len() > 1).then_some("true"));
            let varies = answer.headers.get_all("vary").any(|value| value == "origin");
            assert_eq!(varies, !origins.is_empty(), "a cache mixes origins up");
        }
    }
    assert_eq!(granted(&answer(&["https://console.example.org"], "GET /livez", &[]).await), None);
}

#[actix_web::test]
async fn a_browser_that_asks_beforehand_is_answered_without_credentials() {
    let origins = ["https://console.example.org"];
    let yes = answer(&origins, "OPTIONS /v1/secrets/x", &[PAGE, METHOD, HEADERS]).await;
    assert_eq!((yes.status, granted(&yes)), (200, Some(origins[0])));
    assert_eq!(yes.header("access-control-allow-methods"), Some("PUT"));
    assert_eq!(yes.header("access-control-allow-headers"), Some(HEADERS.1));
    assert_eq!(yes.header("access-control-max-age"), Some("3600"));
    assert!(yes.header("x-openstack-request-id").is_some());

    let plain = answer(&origins, "OPTIONS /livez", &[PAGE, METHOD]).await;
    assert_eq!((plain.status, plain.header("access-control-allow-headers")), (200, None));
    for headers in [
        &[PAGE] as &[_],
        &[METHOD],
        &[("Origin", "https://evil.example.org"), METHOD],
        &[PAGE, ("Access-Control-Request-Method", "TRACE")],
        &[PAGE, METHOD, ("Access-Control-Request-Headers", "x-auth-token, x-evil")],
    ] {
        let no = answer(&origins, "OPTIONS /livez", headers).await;
        assert_eq!((no.status, no.header("access-control-allow-methods")), (405, None), "{headers:?}");
    }
    let off = answer(&[], "OPTIONS /livez", &[PAGE, METHOD]).await;
    assert_eq!((off.status, granted(&off)), (405, None));
}
