"""How one caller lets others in, through python-barbicanclient. The callers: an owner, a colleague in the
same project, and a stranger in another one, each a creator."""

import datetime

from barbicanclient import exceptions
from common import raises, refused, tell

PRIVATE = {"project_access": False}


def make(owner, kind):
    """A secret, or a container of one, and what reading it comes to."""
    secret = owner.secrets.create(name="guarded", payload="for few")
    href = secret.store()
    if kind == "secret":
        return href, lambda caller: caller.secrets.get(href).payload
    container = owner.containers.create(name="guarded", secrets={"part": secret})
    href = container.store()
    return href, lambda caller: caller.client.get(f"containers/{href.rsplit('/', 1)[1]}")["name"]


def access_is_open_by_default(owner, colleague, stranger):
    for kind in ("secret", "container"):
        href, read = make(owner, kind)
        acl = owner.acls.get(href)
        assert (acl.read.project_access, acl.read.users, acl.read.created) == (True, [], None), vars(acl.read)
        assert acl.acl_ref == f"{href}/acl"
        assert read(colleague)
        refused(403, read, stranger)


def a_submitted_acl_is_in_force(owner, colleague, stranger):
    for kind in ("secret", "container"):
        href, read = make(owner, kind)
        acl = owner.acls.create(entity_ref=href, users=["stranger"], **PRIVATE)
        assert acl.submit() == f"{href}/acl"
        refused(403, read, colleague)
        assert read(stranger) and read(owner)

        found = owner.acls.get(href)
        assert (found.read.project_access, found.read.users) == (False, ["stranger"])
        assert isinstance(found.read.created, datetime.datetime) and found.read.created <= found.read.updated

        found.read.users.extend(["colleague", "stranger"])
        found.submit()
        assert sorted(owner.acls.get(href).read.users) == ["colleague", "stranger"]
        assert read(colleague)

        # A submission replaces all: what it leaves out is as by default.
        owner.acls.create(entity_ref=href, users=[]).submit()
        found = owner.acls.get(href)
        assert (found.read.project_access, found.read.users) == (True, [])
        assert read(colleague)
        refused(403, read, stranger)


def a_removed_acl_is_the_default_again(owner, colleague, stranger):
    for kind in ("secret", "container"):
        href, read = make(owner, kind)
        acl = owner.acls.create(entity_ref=href, users=["stranger"], **PRIVATE)
        acl.submit()
        acl.read.remove()
        assert owner.acls.get(href).read.created is None
        assert read(colleague)
        refused(403, read, stranger)
        acl.remove()


def an_acl_of_a_container_says_nothing_of_its_secrets(owner, colleague, stranger):
    secret = owner.secrets.create(payload="kept apart")
    container = owner.containers.create(secrets={"part": secret})
    href = container.store()
    owner.acls.create(entity_ref=href, users=["stranger"], **PRIVATE).submit()
    assert stranger.client.get(f"containers/{href.rsplit('/', 1)[1]}")["container_ref"] == href
    refused(403, lambda: stranger.secrets.get(secret.secret_ref).payload)
    assert colleague.secrets.get(secret.secret_ref).payload == "kept apart"


def acls_are_refused_to_others(owner, colleague, stranger):
    href, _ = make(owner, "secret")
    refused(403, stranger.acls.get, href)
    refused(403, stranger.acls.create(entity_ref=href, users=["stranger"]).submit)
    owner.secrets.delete(href)
    refused(404, owner.acls.get, href)
    refused(404, owner.acls.create(entity_ref=href, users=["stranger"]).submit)


def consumers_protect_a_secret(owner, colleague, stranger):
    href = owner.secrets.create(name="used", payload="used by many").store()
    volume = {"service": "cinder", "resource_type": "volume", "resource_id": "123e4567"}
    image = {"service": "glance", "resource_type": "image", "resource_id": "89ab"}
    for _ in range(2):
        secret = colleague.secrets.register_consumer(href, **volume)
        assert secret.secret_ref == href and secret.consumers == [volume], secret.consumers
    assert owner.secrets.register_consumer(href, **image).consumers == [volume, image]
    assert owner.secrets.get(href).consumers == [volume, image]

    listed = owner.secrets.list_consumers(href)
    assert [(one.service, one.resource_type, one.resource_id, one.status) for one in listed] == [
        ("cinder", "volume", "123e4567", "ACTIVE"),
        ("glance", "image", "89ab", "ACTIVE"),
    ]
    assert len(owner.secrets.list_consumers(href, limit=1, offset=1)) == 1

    raises(exceptions.SecretHasConsumers, owner.secrets.delete, href)
    colleague.secrets.remove_consumer(href, **volume)
    refused(404, colleague.secrets.remove_consumer, href, **volume)
    raises(exceptions.SecretHasConsumers, owner.secrets.delete, href)
    assert owner.secrets.get(href).consumers == [image]
    owner.secrets.delete(href, force=True)
    refused(404, owner.secrets.list_consumers, href)


def readers_from_elsewhere_register_too(owner, colleague, stranger):
    href, _ = make(owner, "secret")
    server = {"service": "nova", "resource_type": "server", "resource_id": "s"}
    refused(403, stranger.secrets.register_consumer, href, **server)
    owner.acls.create(entity_ref=href, users=["stranger"]).submit()
    assert stranger.secrets.register_consumer(href, **server).consumers == [server]
    owner.secrets.remove_consumer(href, **server)
    assert owner.secrets.list_consumers(href) == []


def consumers_of_containers_are_told(owner, colleague, stranger):
    href, _ = make(owner, "container")
    first = {"name": "octavia", "url": "https://octavia.example/lb/1"}
    second = {"name": "magnum", "url": "https://magnum.example/1"}
    container = owner.containers.register_consumer(href, **first)
    assert container.consumers == [{"name": "octavia", "URL": first["url"]}], container.consumers
    assert container.secrets["part"].payload == "for few"
    colleague.containers.register_consumer(href, **second)
    colleague.containers.register_consumer(href, **second)
    assert [one["name"] for one in owner.containers.get(href).consumers] == ["magnum", "octavia"]
    assert [one["name"] for one in owner.containers.list(name="guarded", limit=100)[-1].consumers] == [
        "magnum",
        "octavia",
    ]
    refused(403, stranger.containers.register_consumer, href, **first)

    owner.containers.remove_consumer(href, **first)
    refused(404, owner.containers.remove_consumer, href, **first)
    assert [one["name"] for one in owner.containers.get(href).consumers] == ["magnum"]
    # Nobody who uses a container keeps it from being deleted.
    owner.containers.delete(href)


tell(
    access_is_open_by_default,
    a_submitted_acl_is_in_force,
    a_removed_acl_is_the_default_again,
    an_acl_of_a_container_says_nothing_of_its_secrets,
    acls_are_refused_to_others,
    consumers_protect_a_secret,
    readers_from_elsewhere_register_too,
    consumers_of_containers_are_told,
)
