"""What a service does with secrets through python-barbicanclient."""

import datetime

from barbicanclient import exceptions
from common import refused, tell

PEM = b"-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIN\n-----END PRIVATE KEY-----\n"

# Payloads as the client has them, by type of secret: bytes and texts take different ways.
PAYLOADS = {
    "symmetric": bytes(range(256)),
    "private": PEM,
    "public": PEM.replace(b"PRIVATE", b"PUBLIC"),
    "certificate": PEM.replace(b"PRIVATE KEY", b"CERTIFICATE"),
    "passphrase": "correct horse ☃ battery",
    "opaque": b"\x00\xff\x00",
}


def every_type_is_stored_and_read(barbican):
    for kind, payload in PAYLOADS.items():
        secret = barbican.secrets.create(
            name=f"a {kind}", payload=payload, secret_type=kind, algorithm="aes", bit_length=256, mode="cbc"
        )
        href = secret.store()
        found = barbican.secrets.get(href)
        assert found.payload == payload, kind
        expected = "text/plain" if isinstance(payload, str) else "application/octet-stream"
        assert found.content_types == {"default": expected}, found.content_types
        described = (found.name, found.secret_type, found.algorithm, found.bit_length, found.mode, found.status)
        assert described == (f"a {kind}", kind, "aes", 256, "cbc", "ACTIVE"), described
        assert isinstance(found.created, datetime.datetime) and found.created <= found.updated
        assert found.expiration is None and found.consumers == []


def a_payload_follows(barbican):
    for payload in (b"\x01\x02\x03", "text ü"):
        href = barbican.secrets.create(name="in two steps").store()
        assert barbican.secrets.get(href).payload is None
        barbican.secrets.update(href, payload)
        assert barbican.secrets.get(href).payload == payload
        refused(409, barbican.secrets.update, href, payload)

    secret = barbican.secrets.create(name="updated as an object")
    secret.store()
    secret.payload = "later"
    secret.update()
    assert barbican.secrets.get(secret.secret_ref).payload == "later"


def lists_are_filtered_and_sorted(barbican):
    for number in range(12):
        barbican.secrets.create(
            name=f"listed {number:02}",
            algorithm="rsa",
            bit_length=2048 if number % 2 else 4096,
            mode=f"mode {number}",
            secret_type="private",
            expiration=f"20{40 + number}-01-01T00:00:00",
        ).store()

    def names(**query):
        return [secret.name for secret in barbican.secrets.list(**query)]

    every = [f"listed {number:02}" for number in range(12)]
    assert names(algorithm="rsa") == every[:10]
    assert names(algorithm="rsa", limit=5, offset=9) == every[9:]
    assert names(name="listed 03") == every[3:4]
    assert names(name="listed%", limit=100) == every
    assert names(mode="mode 7") == every[7:8]
    assert names(bits=4096, limit=100) == every[::2]
    assert names(secret_type="private", sort="name:desc", limit=3) == every[:-4:-1]
    assert names(expiration="gte:2050-01-01") == every[10:]
    assert names(algorithm="rsa", created="lt:2001-01-01") == []
    assert names(algorithm="rsa", updated="gt:2001-01-01", limit=100) == every
    refused(400, barbican.secrets.list, sort="nonsense")


def metadata_is_kept(barbican):
    href = barbican.secrets.create(name="labelled", payload="text").store()
    # The client has no calls of its own for user metadata; its connection has.
    path = f"secrets/{href.rsplit('/', 1)[1]}/metadata"
    barbican.client.put(path, json={"metadata": {"Owner": "me", "team": "a"}})
    assert barbican.client.get(path) == {"metadata": {"owner": "me", "team": "a"}}
    assert barbican.client.post(path, json={"key": "new", "value": "v"}) == {"key": "new", "value": "v"}
    assert barbican.client.get(f"{path}/new") == {"key": "new", "value": "v"}
    barbican.client.delete(f"{path}/new")
    refused(404, barbican.client.get, f"{path}/new")


def deleted_secrets_are_gone(barbican):
    href = barbican.secrets.create(payload="text").store()
    barbican.secrets.delete(href)
    refused(404, lambda: barbican.secrets.get(href).name)
    refused(404, barbican.secrets.delete, href)
    secret = barbican.secrets.create(payload="text")
    secret.store()
    secret.delete()
    assert secret.secret_ref is None


def errors_can_be_read(barbican):
    refused(400, barbican.secrets.create(secret_type="nonsense").store)
    refused(400, barbican.secrets.create(expiration="2001-01-01").store)
    refused(413, barbican.secrets.create(payload="a" * 20_001).store)
    try:
        barbican.secrets.create(secret_type="nonsense").store()
    except exceptions.HTTPClientError as error:
        assert str(error).startswith("Bad Request: Provided object does not match schema"), str(error)


def the_newest_microversion_is_chosen(barbican):
    assert barbican.client.microversion == "1.2", barbican.client.microversion


tell(
    the_newest_microversion_is_chosen,
    every_type_is_stored_and_read,
    a_payload_follows,
    lists_are_filtered_and_sorted,
    metadata_is_kept,
    deleted_secrets_are_gone,
    errors_can_be_read,
)
