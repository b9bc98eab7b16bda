"""Stores and reads until it is told to stop, as a service would: what fails for a while is tried again.

usage: endurance.py NAME FILE, with OS_AUTH_URL and its like in the environment; ends once FILE is there and prints
what was acknowledged: a reference and its payload on each line.
"""

import os
import sys
import time

from barbicanclient import exceptions
from common import connect
from keystoneauth1 import exceptions as connection

PATIENCE = 60


def insist(call):
    """What a client sees of a fault is a 503, or a connection that ends."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            return call()
        except connection.ConnectionError as error:
            assert time.monotonic() < until, error
        except (exceptions.HTTPServerError, connection.HttpError) as error:
            status = getattr(error, "status_code", None) or getattr(error, "http_status", None)
            assert status == 503, (status, str(error))
            assert time.monotonic() < until, error
        time.sleep(0.05)


def main():
    name, stop = sys.argv[1:]
    barbican, count = connect("-", "catalog", "-"), 0
    while not os.path.exists(stop):
        count += 1
        payload = f"{name} {count}"
        secret = barbican.secrets.create(name=payload, payload=payload)
        ref = insist(secret.store)
        assert insist(lambda: barbican.secrets.get(ref).payload) == payload
        print(ref, payload, flush=True)


main()
