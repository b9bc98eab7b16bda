//! Certificate authorities on the wire.

use serde_json::json;

use crate::fake::{ID, UNKNOWN, api, with_ids};

const BASE: &str = "http://h/v1/cas";
const HOST: (&str, &str) = ("Host", "h");

#[actix_web::test]
async fn a_ca_is_shown_with_what_is_known_of_it() {
    let answer = api().await.ask(&with_ids("GET /v1/cas/{ca}"), &[HOST], b"").await;
    let expected = json!({
        "ca_id": ID, "status": "ACTIVE", "created": "2030-02-28T19:14:44.180394", "updated": "2030-02-28T19:14:45",
        "expiration": "2040-01-01T00:00:00", "plugin_name": "local", "plugin_ca_id": ID,
        "profiles": [{"name": "server", "description": "TLS servers"}],
        "meta": [{"name": "billing"}, {"ca_signing_certificate": "PEM"}, {"intermediates": "PEMPEM"}],
        "parent_ca_ref": format!("{BASE}/{UNKNOWN}"), "ca_ref": format!("{BASE}/{ID}"),
    });
    assert_eq!((answer.status, answer.json()), (200, expected));
}

#[actix_web::test]
async fn lists_are_of_hrefs_and_link_to_themselves() {
    let api = api().await;
    for list in ["", "/all"] {
        let line = format!("GET /v1/cas{list}?limit=4&offset=4&plugin_name=local");
        let answer = api.ask(&line, &[HOST], b"").await;
        let link = |offset: u64| format!("{BASE}{list}?limit=4&offset={offset}");
        let expected = json!({
            "cas": [format!("{BASE}/{ID}")], "total": 30, "previous": link(0), "next": link(8),
        });
        assert_eq!((answer.status, answer.json()), (200, expected), "{list}");
    }
    for preferred in ["preferred", "global-preferred"] {
        let answer = api.ask(&format!("GET /v1/cas/{preferred}"), &[HOST], b"").await;
        assert_eq!((answer.status, answer.json()), (200, json!({"ca_ref": format!("{BASE}/{ID}")})));
    }
    let projects = api.ask(&with_ids("GET /v1/cas/{ca}/projects"), &[], b"").await;
    assert_eq!((projects.status, projects.json()), (200, json!({"projects": ["p"]})));
}

#[actix_web::test]
async fn certificates_are_pem_whatever_is_accepted() {
    let api = api().await;
    for (path, text) in [("cacert", "PEM"), ("intermediates", "PEMPEM")] {
        for accept in ["application/json", "text/plain", "*/*"] {
            let answer = api.ask(&with_ids(&format!("GET /v1/cas/{{ca}}/{path}")), &[("Accept", accept)], b"").await;
            assert_eq!((answer.status, answer.text().as_str()), (200, text), "{path} {accept}");
            assert_eq!(answer.header("content-type"), Some("application/pem-certificate-chain"));
        }
    }
}

#[actix_web::test]
async fn a_ca_is_made_chosen_and_deleted() {
    let api = api().await;
    let body = json!({"name": "n", "subject_dn": "CN=n", "parent_ca_ref": format!("{BASE}/{ID}")}).to_string();
    for path in ["/v1/cas", "/v1/cas/"] {
        let headers = [HOST, ("Content-Type", "application/json")];
        let answer = api.ask(&format!("POST {path}"), &headers, body.as_bytes()).await;
        assert_eq!((answer.status, answer.json()), (201, json!({"ca_ref": format!("{BASE}/{ID}")})));
        assert_eq!(answer.header("location"), Some(format!("{BASE}/{ID}").as_str()));
    }
    for line in [
        "POST /v1/cas/unset-global-preferred",
        "POST /v1/cas/{ca}/add-to-project",
        "POST /v1/cas/{ca}/set-preferred",
        "POST /v1/cas/{ca}/set-global-preferred",
        "POST /v1/cas/{ca}/remove-from-project",
        "DELETE /v1/cas/{ca}",
    ] {
        let answer = api.ask(&with_ids(line), &[("Accept", "text/plain")], b"").await;
        assert_eq!((answer.status, answer.body.len()), (204, 0), "{line}");
    }
    let nothing = api.ask(&with_ids("GET /v1/cas/{ca}/junk"), &[], b"").await;
    assert_eq!(nothing.status, 404);
}
