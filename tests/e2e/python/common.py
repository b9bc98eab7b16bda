"""What every script with stories begins with. A story fails by an exception.

usage: SCRIPT ENDPOINT token TOKEN...
       SCRIPT ENDPOINT project PROJECT...
       SCRIPT - catalog -, with OS_AUTH_URL and its like in the environment
"""

import os
import sys

from barbicanclient import client, exceptions
from keystoneauth1 import session, token_endpoint
from keystoneauth1.identity import v3


def connect(endpoint, kind, value, **options):
    if kind == "token":
        auth = token_endpoint.Token(endpoint, value)
        return client.Client(session=session.Session(auth=auth), endpoint=endpoint, **options)
    if kind == "catalog":
        known = ("auth_url", "username", "password", "user_domain_id", "project_id")
        auth = v3.Password(**{name: os.environ[f"OS_{name.upper()}"] for name in known})
        return client.Client(session=session.Session(auth=auth), region_name=os.environ["OS_REGION_NAME"], **options)
    return client.Client(endpoint=endpoint, project_id=value, **options)


def refused(status, call, *arguments, **named):
    try:
        call(*arguments, **named)
    except exceptions.HTTPClientError as error:
        assert error.status_code == status, (error.status_code, str(error))
    else:
        raise AssertionError(f"not refused with {status}")


def raises(kind, call, *arguments, **named):
    try:
        call(*arguments, **named)
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__}")


def tell(*stories):
    """Tells each story to a client of each caller that the command line names."""
    endpoint, kind, *values = sys.argv[1:]
    for story in stories:
        print(story.__name__)
        story(*(connect(endpoint, kind, value) for value in values))
