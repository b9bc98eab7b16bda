"""What python-barbicanclient has no calls for, through openstacksdk: quotas and secret stores; and the SDK's
own ways to containers, ACLs, orders and consumers.

usage: sdk_stories.py ENDPOINT TOKEN PROJECT
"""

import sys
import time

from keystoneauth1 import session, token_endpoint
from openstack import connection, exceptions

endpoint, token, project = sys.argv[1:]
auth = token_endpoint.Token(f"{endpoint}/v1", token)
keys = connection.Connection(
    session=session.Session(auth=auth), key_manager_endpoint_override=f"{endpoint}/v1"
).key_manager


def refused(kind, call, *arguments, **named):
    try:
        call(*arguments, **named)
    except kind:
        return
    raise AssertionError(f"no {kind.__name__}")


def quotas_limit_a_project():
    unlimited = {"secrets": -1, "orders": -1, "containers": -1, "consumers": -1, "cas": -1}

    def shown(quota):
        return {name: getattr(quota, name) for name in unlimited}

    assert shown(keys.get_quota()) == unlimited
    refused(exceptions.NotFoundException, keys.get_project_quota, project)
    keys.update_project_quota(project, secrets=10, containers=0)
    assert shown(keys.get_quota()) == {**unlimited, "secrets": 10, "containers": 0}
    found = keys.get_project_quota(project)
    assert (found.secrets, found.containers, found.orders) == (10, 0, None), found
    refused(exceptions.ForbiddenException, keys.create_container, type="generic")
    keys.update_project_quota(project, secrets=10, containers=1)
    container = keys.create_container(type="generic")
    refused(exceptions.ForbiddenException, keys.create_container, type="generic")
    keys.delete_container(container.container_id, ignore_missing=False)
    keys.delete_project_quota(project, ignore_missing=False)
    refused(exceptions.NotFoundException, keys.delete_project_quota, project, ignore_missing=False)
    assert shown(keys.get_quota()) == unlimited


def secret_stores_are_shown():
    stores = {store.name: store for store in keys.secret_stores()}
    assert set(stores) == {"first", "second"}, stores
    assert [store.global_default for store in stores.values()].count(True) == 1
    default = keys.get_global_default_secret_store()
    assert (default.name, default.status) == ("first", "ACTIVE")
    refused(exceptions.NotFoundException, keys.get_preferred_secret_store)
    second = stores["second"]
    assert second.secret_store_ref.endswith(second.secret_store_id), second
    keys.post(f"/secret-stores/{second.secret_store_id}/preferred").raise_for_status()
    assert keys.get_preferred_secret_store().name == "second"
    secret = keys.create_secret(name="elsewhere", payload="text", payload_content_type="text/plain")
    assert keys.get_secret(secret.secret_id).payload == "text"
    keys.delete(f"/secret-stores/{second.secret_store_id}/preferred").raise_for_status()
    refused(exceptions.NotFoundException, keys.get_preferred_secret_store)


def containers_and_acls_are_kept():
    secret = keys.create_secret(name="part", payload="text", payload_content_type="text/plain")
    reference = {"name": "part", "secret_ref": secret.secret_ref}
    container = keys.create_container(name="by SDK", type="generic", secret_refs=[reference])
    found = keys.get_container(container.container_id)
    assert (found.name, found.type, found.status, found.secret_refs) == ("by SDK", "generic", "ACTIVE", [reference])
    assert found.consumers == []
    assert "by SDK" in [listed.name for listed in keys.containers()]
    refused(exceptions.HttpException, keys.update_container, container.container_id, name="another")

    for kind, href, get in (
        ("secret", secret.secret_id, keys.get_secret_acl),
        ("container", container.container_id, keys.get_container_acl),
    ):
        assert get(href).read == {"project-access": True}, kind
    keys.create_container_acl(container.container_id, read={"users": ["bob"], "project-access": False})
    acl = keys.get_container_acl(container.container_id)
    assert (acl.read["users"], acl.read["project-access"]) == (["bob"], False)
    keys.update_container_acl(container.container_id, read={"project-access": True})
    acl = keys.get_container_acl(container.container_id)
    assert (acl.read["users"], acl.read["project-access"]) == (["bob"], True)
    keys.delete_container_acl(container.container_id)
    assert keys.get_container_acl(container.container_id).read == {"project-access": True}
    keys.set_secret_acl(secret.secret_id, read={"users": ["bob"], "project-access": False})
    assert keys.get_secret_acl(secret.secret_id).read["users"] == ["bob"]
    keys.delete_secret_acl(secret.secret_id)
    assert keys.get_secret_acl(secret.secret_id).read == {"project-access": True}

    keys.delete_container(container.container_id, ignore_missing=False)
    refused(exceptions.NotFoundException, keys.get_container, container.container_id)


def consumers_are_kept():
    secret = keys.create_secret(payload="text", payload_content_type="text/plain")
    volume = {"service": "cinder", "resource_type": "volume", "resource_id": "1"}
    keys.create_secret_consumer(secret.secret_id, **volume)
    listed = list(keys.secret_consumers(secret.secret_id))
    assert [(one.service, one.resource_type, one.resource_id) for one in listed] == [tuple(volume.values())]
    refused(exceptions.BadRequestException, keys.delete_secret, secret.secret_id)
    keys.delete_secret_consumer(secret.secret_id, ignore_missing=False, **volume)
    assert list(keys.secret_consumers(secret.secret_id)) == []
    keys.delete_secret(secret.secret_id, ignore_missing=False)


def orders_are_worked_on():
    meta = {"name": "ordered", "algorithm": "aes", "bit_length": 256, "mode": "gcm"}
    order = keys.create_order(type="key", meta=meta)
    deadline = time.monotonic() + 60
    found = keys.get_order(order.order_id)
    while found.status == "PENDING" and time.monotonic() < deadline:
        time.sleep(0.1)
        found = keys.get_order(order.order_id)
    assert found.status == "ACTIVE", found
    assert found.meta["name"] == "ordered" and found.type == "key"
    assert len(keys.get_secret(found.secret_id).payload) == 32
    assert [listed.order_id for listed in keys.orders()] == [order.order_id]
    keys.delete_order(order.order_id, ignore_missing=False)
    refused(exceptions.NotFoundException, keys.get_order, order.order_id)


for story in (
    quotas_limit_a_project,
    secret_stores_are_shown,
    containers_and_acls_are_kept,
    consumers_are_kept,
    orders_are_worked_on,
):
    print(story.__name__)
    story()
