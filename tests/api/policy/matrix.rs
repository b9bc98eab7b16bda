//! The contract's matrix of statuses (section 4.3): legacy roles, and things that `own`, a creator, made.

use bailey_tests::{Client, Database, Request, TestApp};
use serde_json::{Value, json};

/// The callers, in the order of the columns; the last one is on the ACL where there is one.
const COLUMNS: [(&str, &str, &str); 9] = [
    ("here", "own", "creator"),
    ("here", "boss", "admin"),
    ("here", "other", "creator"),
    ("here", "eye", "observer"),
    ("here", "auditor", "audit"),
    ("here", "service", "key-manager:service-admin"),
    ("here", "newcomer", "member"),
    ("elsewhere", "stranger", "admin"),
    ("elsewhere", "guest", "observer"),
];

/// What each of the callers is answered; 0 where the contract has no answer.
type Statuses = [u16; 9];

type Ask = fn(&Client, &str) -> Request;

pub fn matrix_of_the_contract(database: Database) {
    let app = TestApp::builder(database).start().unwrap_or_else(|error| panic!("{error:#}"));
    let world = World { own: app.client_of("here", "own", &["creator"]), app };
    world.check("GET metadata, no ACL", World::secret, |c, s| c.get(s), [200, 200, 200, 200, 200, 200, 403, 403, 0]);
    world.check(
        "GET metadata, private",
        World::private,
        |c, s| c.get(s),
        [200, 200, 403, 403, 403, 403, 403, 403, 200],
    );
    world.check("GET payload, no ACL", World::secret, payload, [200, 200, 200, 200, 403, 403, 403, 403, 0]);
    world.check("GET payload, private", World::private, payload, [200, 200, 403, 403, 403, 403, 403, 403, 200]);
    world.check("PUT payload, private", World::empty, upload, [204, 204, 204, 403, 403, 403, 403, 403, 403]);
    world.check("DELETE, no ACL", World::secret, |c, s| c.delete(s), [204, 204, 204, 403, 403, 403, 403, 403, 0]);
    world.check("DELETE, private", World::private, |c, s| c.delete(s), [204, 204, 403, 403, 403, 403, 403, 403, 403]);
    world.check("metadata PUT, none", World::secret, label, [201, 201, 201, 403, 403, 403, 403, 403, 0]);
    world.check("metadata PUT, private", World::private, label, [201, 201, 403, 403, 403, 403, 403, 403, 403]);
    for ask in [consumers, register] {
        world.check("consumers, none", World::secret, ask, [200, 200, 200, 200, 200, 200, 403, 403, 0]);
        world.check("consumers, private", World::private, ask, [200, 200, 403, 403, 403, 403, 403, 403, 200]);
    }
    for make in [World::private, World::private_container] {
        world.check("ACL GET", make, acl, [200, 200, 200, 200, 403, 403, 403, 403, 403]);
        for ask in [open, close] {
            world.check("ACL PUT, DELETE", make, ask, [200, 200, 200, 403, 403, 403, 403, 403, 403]);
        }
    }
    world.check("container GET, none", World::container, |c, s| c.get(s), [200, 200, 200, 200, 200, 200, 403, 403, 0]);
    let answers = [200, 200, 403, 403, 403, 403, 403, 403, 200];
    world.check("container GET, private", World::private_container, |c, s| c.get(s), answers);
    world.check(
        "container DELETE",
        World::container,
        |c, s| c.delete(s),
        [204, 204, 403, 403, 403, 403, 403, 403, 403],
    );
    world.check("order GET", World::order, |c, s| c.get(s), [200, 200, 200, 200, 200, 200, 403, 404, 404]);
    world.check("order DELETE", World::order, |c, s| c.delete(s), [403, 204, 403, 403, 403, 403, 403, 404, 404]);
}

fn payload(client: &Client, secret: &str) -> Request {
    client.get(&format!("{secret}/payload")).header("Accept", "text/plain")
}

fn upload(client: &Client, secret: &str) -> Request {
    client.put(secret).payload("text/plain", b"late")
}

fn label(client: &Client, secret: &str) -> Request {
    client.put(&format!("{secret}/metadata")).json(&json!({ "metadata": {} }))
}

fn consumers(client: &Client, of: &str) -> Request {
    client.get(&format!("{of}/consumers"))
}

fn register(client: &Client, of: &str) -> Request {
    client.post(&format!("{of}/consumers")).json(&json!({ "service": "s", "resource_type": "t", "resource_id": "r" }))
}

fn acl(client: &Client, of: &str) -> Request {
    client.get(&format!("{of}/acl"))
}

fn open(client: &Client, of: &str) -> Request {
    client.put(&format!("{of}/acl")).json(&json!({}))
}

fn close(client: &Client, of: &str) -> Request {
    client.delete(&format!("{of}/acl"))
}

struct World {
    app: TestApp,
    own: Client,
}

impl World {
    /// Asks each caller for something that nobody was asked for before.
    fn check(&self, what: &str, make: fn(&Self) -> String, ask: Ask, expected: Statuses) {
        for ((project, user, role), expected) in COLUMNS.into_iter().zip(expected).filter(|(_, status)| *status > 0) {
            let answer = ask(&self.app.client_of(project, user, &[role]), &make(self)).send();
            assert_eq!(answer.status, expected, "{what}, {user}: {answer}");
        }
    }

    fn secret(&self) -> String {
        self.own.store("a payload")
    }

    fn private(&self) -> String {
        self.closed(self.secret())
    }

    /// Private, and still without a payload.
    fn empty(&self) -> String {
        self.closed(self.own.create(&json!({})))
    }

    fn container(&self) -> String {
        self.post("/v1/containers", &json!({ "type": "generic" }), 201).string("container_ref")
    }

    fn private_container(&self) -> String {
        self.closed(self.container())
    }

    fn order(&self) -> String {
        let order = json!({ "type": "key", "meta": { "algorithm": "aes", "bit_length": 256 } });
        self.post("/v1/orders", &order, 202).string("order_ref")
    }

    fn post(&self, path: &str, body: &Value, status: u16) -> bailey_tests::Answer {
        self.own.post(path).json(body).send().expect(status)
    }

    fn closed(&self, href: String) -> String {
        let acl = json!({ "read": { "project-access": false, "users": ["guest"] } });
        let _ = self.own.put(&format!("{href}/acl")).json(&acl).send().expect(200);
        href
    }
}
