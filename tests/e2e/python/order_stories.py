"""What a service orders through python-barbicanclient."""

import datetime
import time

from barbicanclient.v1.containers import Container, RSAContainer
from barbicanclient.v1.orders import AsymmetricOrder, KeyOrder
from common import refused, tell
from cryptography.hazmat.primitives import serialization

PATIENCE = 60
LATER = "2050-01-01T00:00:00"


def submit(barbican, order):
    """The order once nothing more will become of it."""
    href = order.submit()
    assert href == order.order_ref and "/v1/orders/" in href, href
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found = barbican.orders.get(href)
        if found.status != "PENDING":
            return found
        time.sleep(0.1)
    raise AssertionError(f"still {found.status} after {PATIENCE} s")


def keys_are_made(barbican):
    for algorithm, bits, mode in (("aes", 256, "cbc"), ("AES", 128, None), ("hmacsha256", 256, None)):
        ordered = barbican.orders.create_key(
            name="a key",
            algorithm=algorithm,
            bit_length=bits,
            mode=mode,
            payload_content_type="application/octet-stream",
            expiration=LATER,
        )
        order = submit(barbican, ordered)
        assert type(order) is KeyOrder
        assert (order.status, order.error_status_code, order.error_reason) == ("ACTIVE", None, None), vars(order)
        told = (order.name, order.algorithm, order.bit_length, order.mode, order.payload_content_type)
        assert told == ("a key", algorithm, bits, mode, "application/octet-stream"), told
        assert order.expiration.isoformat().startswith(LATER)
        assert isinstance(order.created, datetime.datetime) and order.created <= order.updated

        secret = barbican.secrets.get(order.secret_ref)
        assert len(secret.payload) * 8 == bits
        described = (secret.name, secret.algorithm, secret.bit_length, secret.mode, secret.secret_type)
        assert described == ("a key", algorithm, bits, mode, "symmetric"), described
        assert secret.expiration == order.expiration
        assert secret.content_types == {"default": "application/octet-stream"}


def keys_differ(barbican):
    orders = [submit(barbican, barbican.orders.create_key(algorithm="aes", bit_length=256)) for _ in range(3)]
    assert len({barbican.secrets.get(order.secret_ref).payload for order in orders}) == 3


def check_pair(container, passphrase=None):
    private, public = (container.secrets[name].payload for name in ("private_key", "public_key"))
    key = serialization.load_pem_private_key(private, passphrase)
    assert key.public_key() == serialization.load_pem_public_key(public)
    return key


def key_pairs_are_made(barbican):
    ordered = barbican.orders.create_asymmetric(
        name="a pair", algorithm="rsa", bit_length=2048, payload_content_type="application/octet-stream"
    )
    order = submit(barbican, ordered)
    assert type(order) is AsymmetricOrder
    assert (order.status, order.name, order.algorithm, order.bit_length) == ("ACTIVE", "a pair", "rsa", 2048)
    container = barbican.containers.get(order.container_ref)
    assert type(container) is RSAContainer
    assert (container.name, container.status, container.private_key_passphrase) == ("a pair", "ACTIVE", None)
    assert check_pair(container).key_size == 2048
    private, public = container.private_key, container.public_key
    assert (private.secret_type, public.secret_type) == ("private", "public")
    assert (private.name, private.algorithm, private.bit_length) == ("a pair", "rsa", 2048)


def key_pairs_are_kept_by_a_passphrase(barbican):
    ordered = barbican.orders.create_asymmetric(algorithm="rsa", bit_length=2048, pass_phrase="correct horse")
    order = submit(barbican, ordered)
    assert (order.status, order.pass_phrase) == ("ACTIVE", None), "nobody is told the passphrase again"
    container = barbican.containers.get(order.container_ref)
    assert container.private_key_passphrase.payload == b"correct horse"
    assert container.private_key.payload.startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
    check_pair(container, b"correct horse")


def newer_kinds_of_key_pairs_are_made(barbican):
    for algorithm, bits in (("ec", 256), ("ec", 384), ("ec", 521), ("ed25519", 256)):
        order = submit(barbican, barbican.orders.create_asymmetric(algorithm=algorithm, bit_length=bits))
        assert order.status == "ACTIVE", (algorithm, order.error_reason)
        # The client knows no type of container for them, and reads none it doesn't know.
        container = barbican.containers.get(order.container_ref)
        assert type(container) is Container
        check_pair(container)
    assert barbican.containers.list(limit=100)


def orders_are_listed(barbican):
    before = barbican.orders.list(limit=100)
    hrefs = [barbican.orders.create_key(algorithm="aes", bit_length=128).submit() for _ in range(12)]
    listed = [order.order_ref for order in barbican.orders.list(limit=100)]
    assert listed == [order.order_ref for order in before] + hrefs
    assert len(barbican.orders.list()) == 10
    assert [order.order_ref for order in barbican.orders.list(limit=2, offset=len(before) + 5)] == hrefs[5:7]


def what_can_not_be_made_is_told(barbican):
    order = submit(barbican, barbican.orders.create_key(algorithm="nonsense", bit_length=256))
    assert (order.status, order.error_status_code, order.secret_ref) == ("ERROR", "400", None), vars(order)
    assert order.error_reason
    refused(400, barbican.orders.create_key(bit_length=256).submit)
    refused(400, barbican.orders.create_key(algorithm="aes").submit)
    refused(400, barbican.orders.create_key(algorithm="aes", bit_length="many").submit)
    refused(400, barbican.orders.create_key(algorithm="aes", bit_length=256, expiration="2001-01-01").submit)


def deleted_orders_leave_their_products(barbican):
    order = submit(barbican, barbican.orders.create_key(algorithm="aes", bit_length=256))
    barbican.orders.delete(order.order_ref)
    refused(404, barbican.orders.get, order.order_ref)
    refused(404, barbican.orders.delete, order.order_ref)
    assert len(barbican.secrets.get(order.secret_ref).payload) == 32
    ordered = barbican.orders.create_key(algorithm="aes", bit_length=256)
    ordered.submit()
    ordered.delete()
    assert ordered.order_ref is None


tell(
    keys_are_made,
    keys_differ,
    key_pairs_are_made,
    key_pairs_are_kept_by_a_passphrase,
    newer_kinds_of_key_pairs_are_made,
    orders_are_listed,
    what_can_not_be_made_is_told,
    deleted_orders_leave_their_products,
)
