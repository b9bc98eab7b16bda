"""What a service does with containers through python-barbicanclient."""

import datetime

from barbicanclient.v1.containers import CertificateContainer, Container, RSAContainer
from common import raises, refused, tell


def secrets(barbican, *names):
    return {name: barbican.secrets.create(name=name, payload=f"payload of {name}") for name in names}


def a_generic_container_is_kept(barbican):
    # What is stored with the container: one secret is there already, one is stored on the way.
    parts = secrets(barbican, "first", "second")
    parts["first"].store()
    container = barbican.containers.create(name="generic", secrets=parts)
    href = container.store()
    assert href == container.container_ref and "/v1/containers/" in href, href
    raises(Exception, container.store)

    found = barbican.containers.get(href)
    assert type(found) is Container
    assert (found.name, found.status, found.container_ref) == ("generic", "ACTIVE", href)
    assert isinstance(found.created, datetime.datetime) and found.created == found.updated
    assert {name: secret.payload for name, secret in found.secrets.items()} == {
        "first": "payload of first",
        "second": "payload of second",
    }
    assert found.consumers == []
    assert barbican.containers.get(href.rsplit("/", 1)[1]).container_ref == href


def containers_of_keys_and_certificates_are_kept(barbican):
    pair = secrets(barbican, "public_key", "private_key", "private_key_passphrase")
    href = barbican.containers.create_rsa(name="pair", **pair).store()
    found = barbican.containers.get(href)
    assert type(found) is RSAContainer
    assert found.public_key.payload == "payload of public_key"
    assert found.private_key.payload == "payload of private_key"
    assert found.private_key_passphrase.payload == "payload of private_key_passphrase"

    bundle = secrets(barbican, "certificate", "intermediates", "private_key", "private_key_passphrase")
    href = barbican.containers.create_certificate(name="bundle", **bundle).store()
    found = barbican.containers.get(href)
    assert type(found) is CertificateContainer
    for name in bundle:
        assert getattr(found, name).payload == f"payload of {name}"
    href = barbican.containers.create_certificate(certificate=bundle["certificate"]).store()
    found = barbican.containers.get(href)
    assert found.certificate.payload == "payload of certificate"
    assert found.private_key is None and found.name is None

    refused(400, barbican.containers.create_rsa(public_key=pair["public_key"]).store)
    refused(400, barbican.containers.create_certificate(private_key=bundle["private_key"]).store)


def containers_are_listed(barbican):
    for number in range(12):
        part = secrets(barbican, "public_key", "private_key")
        if number % 2:
            barbican.containers.create(name=f"listed {number:02}", secrets=part).store()
        else:
            barbican.containers.create_rsa(name=f"listed {number:02}", **part).store()

    def names(**query):
        return [container.name for container in barbican.containers.list(name="listed%", **query)]

    every = [f"listed {number:02}" for number in range(12)]
    assert names() == every[:10]
    assert names(limit=5, offset=9) == every[9:]
    assert names(type="rsa") == every[::2]
    assert names(type="certificate") == []
    one, = barbican.containers.list(name="listed 03")
    assert one.secrets["public_key"].payload == "payload of public_key"


def deleted_containers_are_gone(barbican):
    parts = secrets(barbican, "kept")
    container = barbican.containers.create(secrets=parts)
    href = container.store()
    barbican.containers.delete(href)
    refused(404, barbican.containers.get, href)
    refused(404, barbican.containers.delete, href)
    assert barbican.secrets.get(parts["kept"].secret_ref).payload == "payload of kept"

    again = barbican.containers.create(name="again", secrets=parts)
    again.store()
    again.delete()
    assert again.container_ref is None


def secrets_that_are_gone_are_refused(barbican):
    parts = secrets(barbican, "gone")
    href = parts["gone"].store()
    container = barbican.containers.create(secrets=parts)
    barbican.secrets.delete(href)
    refused(404, container.store)


tell(
    a_generic_container_is_kept,
    containers_of_keys_and_certificates_are_kept,
    containers_are_listed,
    deleted_containers_are_gone,
    secrets_that_are_gone_are_refused,
)
