//! `DELETE /v1/secrets/{id}`.

use bailey_tests::suite::SharedCase;
use bailey_tests::{TestApp, cases};
use serde_json::json;

pub const CASES: &[SharedCase] = cases![a_deleted_secret_is_gone, force_is_read_from_1_2_on, one_of_many_deletes_wins];

fn a_deleted_secret_is_gone(app: &TestApp) {
    let client = app.client();
    for href in [client.store("text"), client.create(&json!({}))] {
        let answer = client.delete(&href).send().expect(204);
        assert!(answer.body.is_empty());
        for answer in [
            client.get(&href).send(),
            client.get(&format!("{href}/payload")).send(),
            client.put_payload(&href, "text/plain", b"again"),
            client.delete(&href).send(),
        ] {
            assert_eq!(answer.status, 404, "{answer}");
        }
    }
    assert_eq!(client.describe("/v1/secrets"), json!({ "secrets": [], "total": 0 }));
}

fn force_is_read_from_1_2_on(app: &TestApp) {
    let client = app.client();
    let late = client.with_microversion("1.2");
    for force in ["1", "0", "t", "F", "true", "FALSE", "on", "off", "y", "n", "Yes", "no"] {
        let href = client.store("text");
        let _ = late.delete(&format!("{href}?force={force}")).send().expect(204);
    }
    for force in ["", "junk", "2"] {
        let href = client.store("text");
        let _ = late.delete(&format!("{href}?force={force}")).send().expect(400);
        let _ = client.get(&href).send().expect(200);
        let _ = client.with_microversion("1.1").delete(&format!("{href}?force={force}")).send().expect(204);
    }
}

fn one_of_many_deletes_wins(app: &TestApp) {
    let client = app.client();
    for _ in 0..10 {
        let href = client.store("text");
        let deletes = [(); 4].map(|()| {
            let request = client.delete(&href);
            std::thread::spawn(move || request.send().status)
        });
        let mut statuses = deletes.map(|delete| delete.join().unwrap());
        statuses.sort_unstable();
        assert_eq!(statuses, [204, 404, 404, 404]);
    }
}
