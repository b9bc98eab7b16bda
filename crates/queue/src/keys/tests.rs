#![allow(clippy::unwrap_used)]

use super::*;

fn versions(keys: &WorkerKeys) -> Vec<(QueueKeyId, bool)> {
    keys.versions().collect()
}

#[test]
fn what_is_written_is_read() {
    let mut keys = WorkerKeys::generate().unwrap();
    keys.add().unwrap();
    let read = WorkerKeys::parse(keys.to_text().expose()).unwrap();
    assert_eq!(versions(&read), versions(&keys));
    for (id, _) in keys.versions() {
        assert_eq!(read.get(id).unwrap().0.to_bytes(), keys.get(id).unwrap().0.to_bytes());
        assert_eq!(read.get(id).unwrap().1.expose(), keys.get(id).unwrap().1.expose());
    }
    let api = keys.for_api().unwrap();
    let read = ApiKeys::parse(api.to_text().expose()).unwrap();
    let ((id, public, psk), (read_id, read_public, read_psk)) = (api.active().unwrap(), read.active().unwrap());
    assert_eq!((id, public.to_bytes(), psk.expose()), (read_id, read_public.to_bytes(), read_psk.expose()));
}

#[test]
fn one_version_follows_another() {
    let mut keys = WorkerKeys::generate().unwrap();
    let old = versions(&keys)[0].0;
    let new = keys.add().unwrap();
    assert_eq!(versions(&keys), [(old, true), (new, false)]);
    assert_eq!(keys.for_api().unwrap().active().unwrap().0, old);
    assert_eq!(keys.remove(old), Err(KeyError::Active(old)));
    keys.activate(new).unwrap();
    let api = keys.for_api().unwrap();
    assert_eq!(api.versions().collect::<Vec<_>>(), [(new, true)], "an API has no more than it needs");
    keys.remove(old).unwrap();
    assert_eq!(versions(&keys), [(new, true)]);
    assert_eq!(keys.activate(old), Err(KeyError::Unknown(old)));
    assert_eq!(keys.remove(old), Err(KeyError::Unknown(old)));
}

#[test]
fn an_api_uses_the_newest_active_version() {
    let (first, second) = (WorkerKeys::generate().unwrap(), WorkerKeys::generate().unwrap());
    let both =
        format!("{}{}", first.for_api().unwrap().to_text().expose(), second.for_api().unwrap().to_text().expose());
    let keys = ApiKeys::parse(&both).unwrap();
    assert_eq!(keys.active().unwrap().0, versions(&second)[0].0);
    let (waiting, _) = both.split_at(both.len());
    assert!(ApiKeys::parse(&waiting.replace(" active ", " accepted ")).unwrap_err().0.contains("no active version"));
}

#[test]
fn a_bad_line_is_named_and_not_quoted() {
    let good = WorkerKeys::generate().unwrap().to_text().expose().to_owned();
    let line = good.lines().last().unwrap().to_owned();
    let words: Vec<&str> = line.split(' ').collect();
    for bad in [
        words[..3].join(" "),
        line.replace(" active ", " passive "),
        line.replace("psk:", "PSK:"),
        line.replace("psk:", "psk:AAAA"),
        format!("{line} more"),
        format!("x{line}"),
        format!("{line}\n{line}"),
    ] {
        let complaint = WorkerKeys::parse(&format!("# keys\n{bad}\n")).unwrap_err().0;
        assert!(complaint.contains("line 2") || complaint.contains("line 3"), "{complaint}");
        assert!(words[2..].iter().all(|word| !complaint.contains(word)), "{complaint}");
    }
    assert!(WorkerKeys::parse("# nothing\n").unwrap_err().0.contains("no key"));
}

#[test]
fn nobody_takes_the_other_s_file() {
    let keys = WorkerKeys::generate().unwrap();
    let complaint = ApiKeys::parse(keys.to_text().expose()).unwrap_err().0;
    assert!(complaint.contains("an API must not have it"), "{complaint}");
    assert!(WorkerKeys::parse(keys.for_api().unwrap().to_text().expose()).unwrap_err().0.contains("an API's"));
}

#[test]
fn debug_prints_no_key() {
    let keys = WorkerKeys::generate().unwrap();
    let text = keys.to_text();
    let secret = text.expose().lines().last().unwrap().split("psk:").last().unwrap();
    assert!(!format!("{keys:?} {:?}", keys.for_api().unwrap()).contains(secret));
}
