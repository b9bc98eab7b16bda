"""Every key and key pair that can be ordered, as Python's cryptography finds it."""

import sys
import time
import warnings

import requests
from common import tell
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

PATIENCE = 300
PASSPHRASE = "correct horse, päron"

# What is ordered, and how many bits that is.
SYMMETRIC = (
    [
        (algorithm, None, bits, bits)
        for algorithm in ("aes", "des", "hmacsha1", "hmacsha256", "hmacsha384", "hmacsha512")
        for bits in (64, 128, 192, 256)
    ]
    + [("aes", "xts", bits, bits) for bits in (128, 256, 384, 512)]
    + [("hmacsha1", None, 160, 160), ("hmacsha384", None, 384, 384), ("hmacsha512", None, 512, 512)]
    + [
        (algorithm, None, ordered, made)
        for algorithm in ("3des", "desede")
        for ordered, made in ((112, 128), (128, 128), (168, 192), (192, 192))
    ]
)
ASYMMETRIC = [
    *(("rsa", bits) for bits in (1024, 2048, 3072, 4096)),
    *(("dsa", bits) for bits in (1024, 2048, 3072, 4096)),
    *(("ec", bits) for bits in (256, 384, 521)),
    ("ed25519", 256),
]
CURVES = {256: ec.SECP256R1, 384: ec.SECP384R1, 521: ec.SECP521R1}


def made(barbican, orders):
    """The orders once they are all done."""
    hrefs, deadline = [order.submit() for order in orders], time.monotonic() + PATIENCE
    for href in hrefs:
        found = barbican.orders.get(href)
        while found.status == "PENDING" and time.monotonic() < deadline:
            time.sleep(0.1)
            found = barbican.orders.get(href)
        assert found.status == "ACTIVE", (found.algorithm, found.bit_length, found.status, found.error_reason)
        yield found


def is_odd(byte):
    return byte.bit_count() % 2 == 1


def round_trip(algorithm, mode):
    text = bytes(range(32))
    cipher = Cipher(algorithm, mode)
    encryptor, decryptor = cipher.encryptor(), cipher.decryptor()
    encrypted = encryptor.update(text) + encryptor.finalize()
    assert encrypted != text and decryptor.update(encrypted) + decryptor.finalize() == text


def check_symmetric(algorithm, mode, bits, key):
    assert len(key) * 8 == bits, (algorithm, mode, bits, len(key))
    is_des = algorithm in ("des", "3des", "desede")
    assert not is_des or all(map(is_odd, key)), f"parity of {algorithm}-{bits}"
    if algorithm == "aes" and mode == "xts" and bits in (256, 512):
        round_trip(algorithms.AES(key), modes.XTS(bytes(16)))
    elif algorithm == "aes" and mode is None and bits >= 128:
        round_trip(algorithms.AES(key), modes.CBC(bytes(16)))
    elif is_des and bits <= 192:
        round_trip(TripleDES(key), modes.CBC(bytes(8)))


def symmetric_keys(barbican):
    orders = [
        barbican.orders.create_key(algorithm=algorithm, bit_length=bits, mode=mode)
        for algorithm, mode, bits, _ in SYMMETRIC
    ]
    keys, others = set(), b""
    for (algorithm, mode, ordered, bits), order in zip(SYMMETRIC, made(barbican, orders), strict=True):
        secret = barbican.secrets.get(order.secret_ref)
        assert (secret.algorithm, secret.mode, secret.bit_length) == (algorithm, mode, ordered)
        check_symmetric(algorithm, mode, bits, secret.payload)
        keys.add(secret.payload)
        others += b"" if "des" in algorithm else secret.payload
    assert len(keys) == len(SYMMETRIC)
    assert not all(map(is_odd, others)), "only DES has parity bits"


def load_private(algorithm, private, passphrase):
    load = serialization.load_der_private_key if algorithm == "dsa" else serialization.load_pem_private_key
    return load(private, passphrase)


def load_public(algorithm, public):
    load = serialization.load_der_public_key if algorithm == "dsa" else serialization.load_pem_public_key
    return load(public)


def check_kind(algorithm, bits, private):
    if algorithm == "rsa":
        assert isinstance(private, rsa.RSAPrivateKey) and private.key_size == bits
        assert private.public_key().public_numbers().e == 65537
    elif algorithm == "dsa":
        assert isinstance(private, dsa.DSAPrivateKey) and private.key_size == bits
        assert private.parameters().parameter_numbers().q.bit_length() == (160 if bits == 1024 else 256)
    elif algorithm == "ec":
        assert isinstance(private, ec.EllipticCurvePrivateKey) and isinstance(private.curve, CURVES[bits])
    else:
        assert isinstance(private, ed25519.Ed25519PrivateKey)


def schemes(algorithm):
    """What is signed with beside the message, as a few schemes have it."""
    digest = hashes.SHA256()
    if algorithm == "rsa":
        return [(padding.PKCS1v15(), digest), (padding.PSS(padding.MGF1(digest), padding.PSS.DIGEST_LENGTH), digest)]
    return {"dsa": [(digest,)], "ec": [(ec.ECDSA(digest),)], "ed25519": [()]}[algorithm]


def check_signatures(algorithm, private, public):
    for scheme in schemes(algorithm):
        signature = private.sign(b"message", *scheme)
        public.verify(signature, b"message", *scheme)
        try:
            public.verify(signature, b"another message", *scheme)
        except InvalidSignature:
            continue
        raise AssertionError(f"{algorithm} verifies anything")


def check_refused(algorithm, private, wrong):
    try:
        load_private(algorithm, private, wrong)
    except (TypeError, ValueError):
        return
    raise AssertionError(f"an encrypted {algorithm} key is opened by {wrong}")


def payloads(barbican, container_ref):
    """What a container holds, read by hand: the client fails on containers of type dsa."""
    answer = requests.get(container_ref, headers={"X-Project-Id": sys.argv[3]}, timeout=PATIENCE)
    answer.raise_for_status()
    return {held["name"]: barbican.secrets.get(held["secret_ref"]).payload for held in answer.json()["secret_refs"]}


def check_pair(algorithm, bits, parts, passphrase):
    assert set(parts) == {"private_key", "public_key"} | ({"private_key_passphrase"} if passphrase else set())
    stored, told = parts["private_key"], parts["public_key"]
    private, public = load_private(algorithm, stored, passphrase), load_public(algorithm, told)
    check_kind(algorithm, bits, private)
    encoding, spki = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    if algorithm == "dsa":
        encoding = serialization.Encoding.DER
    else:
        label = b"ENCRYPTED PRIVATE KEY" if passphrase else b"PRIVATE KEY"
        assert stored.startswith(b"-----BEGIN %s-----\n" % label), "the label of the private key"
    assert private.public_key().public_bytes(encoding, spki) == told == public.public_bytes(encoding, spki)
    check_signatures(algorithm, private, public)
    if passphrase:
        assert parts["private_key_passphrase"] == passphrase
        for wrong in (b"wrong", None):
            check_refused(algorithm, stored, wrong)
    return told


def key_pairs(barbican):
    ordered = [(algorithm, bits, phrase) for algorithm, bits in ASYMMETRIC for phrase in (None, PASSPHRASE)]
    orders = [
        barbican.orders.create_asymmetric(algorithm=algorithm, bit_length=bits, pass_phrase=phrase)
        for algorithm, bits, phrase in ordered
    ]
    told = set()
    for (algorithm, bits, phrase), order in zip(ordered, made(barbican, orders), strict=True):
        parts = payloads(barbican, order.container_ref)
        told.add(check_pair(algorithm, bits, parts, phrase and phrase.encode()))
    assert len(told) == len(ordered)


# Weak keys are among those that are made.
warnings.simplefilter("ignore")
tell(symmetric_keys, key_pairs)
