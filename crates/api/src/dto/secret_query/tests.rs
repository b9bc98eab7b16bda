#![allow(clippy::unwrap_used)]

use super::*;

fn query(text: &str) -> Result<SecretQuery, Failure> {
    read(&Params::read(text), &Limits::default())
}

#[test]
fn filters_are_read() {
    let filter = query("name=a%252Bb%2Bc%25&alg=aes&mode=&bits=128&secret_type=bogus&acl_only=TRUE").unwrap();
    assert!(filter.acl_only);
    let filter = filter.filter;
    assert_eq!(filter.name.as_deref(), Some("a+b c%"));
    assert_eq!((filter.algorithm.as_deref(), filter.mode), (Some("aes"), None));
    assert_eq!((filter.bit_length, filter.secret_type.as_deref()), (Some(128), Some("bogus")));
    for (text, bits) in [("0", None), ("-4", None), ("junk", None), ("128.0", None), ("99999999999", Some(i32::MAX))] {
        assert_eq!(query(&format!("bits={text}")).unwrap().filter.bit_length, bits, "{text}");
    }
    assert_eq!(query("name=%2500").unwrap_err().reason, "The parameter 'name' contains NUL");
}

#[test]
fn orders_are_read_or_refused() {
    let by = |text: &str| query(&format!("sort={text}")).map(|query| query.sort);
    assert_eq!(by("").unwrap(), []);
    let expected = [(SecretSortKey::Name, Direction::Descending), (SecretSortKey::Created, Direction::Ascending)];
    assert_eq!(by("name:desc,created").unwrap(), expected);
    assert_eq!(by("status:asc").unwrap(), [(SecretSortKey::Status, Direction::Ascending)]);
    for bad in [
        "bogus",
        "name:up",
        "name:ASC",
        "name,name:desc",
        "name:asc:desc",
        "name:desc:asc",
        "name:asc:asc",
        "name,",
        "name:",
        "%20name",
        ",",
    ] {
        assert!(by(bad).is_err(), "{bad}");
    }
}

#[test]
fn conditions_on_times_are_read_or_refused() {
    let created = |text: &str| query(&format!("created={text}")).map(|query| query.filter.created.len());
    for (good, count) in [
        ("", 0),
        ("2001", 1),
        ("gt:2001-01-01,lte:2002-01-01T00:00:00Z", 2),
        ("2001,gt:2000", 2),
        ("lt:2003,2001,gt:2000", 3),
    ] {
        assert_eq!(created(good).unwrap(), count, "{good}");
    }
    let bad = [
        "junk",
        "gt:",
        ",",
        "eq:2001",
        "gt:2001,gte:2001",
        "lt:2001,lte:2001",
        "gt:2001,gt:2002",
        "lt:2001,lt:2002",
        "2001,2001",
        "2001,gte:2000",
        "lte:2002,2001",
    ];
    for text in bad {
        assert!(created(text).is_err(), "{text}");
    }
}

#[test]
fn repeated_parameters_are_refused() {
    for name in [
        "limit",
        "offset",
        "name",
        "alg",
        "mode",
        "bits",
        "secret_type",
        "created",
        "updated",
        "expiration",
        "sort",
        "acl_only",
    ] {
        assert!(query(&format!("{name}=1&{name}=1")).is_err(), "{name}");
    }
    assert!(query("other=1&other=1").is_ok());
}
