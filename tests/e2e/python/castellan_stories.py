"""What services do through castellan, knowing a password and where Keystone is. A story fails by an exception.

usage: SCRIPT, with OS_AUTH_URL and its like in the environment
"""

import os

from castellan import key_manager, options
from castellan.common import exception
from castellan.common.credentials import keystone_password
from castellan.common.objects import opaque_data, passphrase, symmetric_key
from oslo_config import cfg
from oslo_context import context


def made():
    conf = cfg.ConfigOpts()
    options.set_defaults(conf, backend="barbican", auth_endpoint=os.environ["OS_AUTH_URL"])
    conf([], project="castellan")
    manager = key_manager.API(conf)
    conf.set_default("barbican_region_name", os.environ["OS_REGION_NAME"], group="barbican")
    return manager


MANAGER = made()
CALLER = keystone_password.KeystonePassword(
    os.environ["OS_PASSWORD"],
    username=os.environ["OS_USERNAME"],
    auth_url=os.environ["OS_AUTH_URL"],
    user_domain_id=os.environ["OS_USER_DOMAIN_ID"],
    project_id=os.environ["OS_PROJECT_ID"],
)


def raises(kind, call, *arguments):
    try:
        call(*arguments)
    except kind:
        return
    raise AssertionError(f"no {kind.__name__}")


def what_is_stored_comes_back():
    for kept in (
        passphrase.Passphrase(b"correct horse", name="words"),
        symmetric_key.SymmetricKey("AES", 128, bytes(range(16)), name="key"),
        opaque_data.OpaqueData(b"\x00\xff\x00", name="bytes"),
    ):
        uuid = MANAGER.store(CALLER, kept)
        found = MANAGER.get(CALLER, uuid)
        assert (type(found), found.get_encoded(), found.name) == (type(kept), kept.get_encoded(), kept.name)
        assert MANAGER.get(CALLER, uuid, metadata_only=True).is_metadata_only()
        MANAGER.delete(CALLER, uuid)
        raises(exception.ManagedObjectNotFoundError, MANAGER.get, CALLER, uuid)


def keys_are_listed():
    uuids = {MANAGER.store(CALLER, passphrase.Passphrase(b"one of two")) for _ in range(2)}
    assert {found.id for found in MANAGER.list(CALLER, passphrase.Passphrase)} == uuids
    assert MANAGER.list(CALLER, opaque_data.OpaqueData) == []
    for uuid in uuids:
        MANAGER.delete(CALLER, uuid)
    assert MANAGER.list(CALLER) == []


def keys_are_made():
    uuid = MANAGER.create_key(CALLER, "AES", 256, name="made")
    key = MANAGER.get(CALLER, uuid)
    assert (key.algorithm.upper(), key.bit_length, len(key.get_encoded())) == ("AES", 256, 32)
    MANAGER.delete(CALLER, uuid)
    private, public = MANAGER.create_key_pair(CALLER, "RSA", 2048)
    assert MANAGER.get(CALLER, private).bit_length == MANAGER.get(CALLER, public).bit_length == 2048
    for uuid in (private, public):
        MANAGER.delete(CALLER, uuid)


def a_token_of_the_caller_s_does_too():
    """As services have it from their own callers."""
    auth = MANAGER._get_keystone_auth(CALLER)
    from keystoneauth1 import session

    token = auth.get_token(session.Session(auth=auth))
    caller = context.RequestContext(auth_token=token, project_id=os.environ["OS_PROJECT_ID"])
    uuid = MANAGER.store(caller, passphrase.Passphrase(b"on behalf of"))
    assert MANAGER.get(caller, uuid).get_encoded() == b"on behalf of"
    MANAGER.delete(caller, uuid)


for story in (what_is_stored_comes_back, keys_are_listed, keys_are_made, a_token_of_the_caller_s_does_too):
    print(story.__name__)
    story()
