"""Verifies a post of Ocellus with the library standardwebhooks (PyPI).

verify.py SECRET HEADERS BODY: HEADERS is a file of JSON, names in lower case; BODY a file.
"""

import email
import hashlib
import json
import sys

from standardwebhooks import Webhook


def document(secret: str, headers: dict, body: bytes) -> dict:
    """What the router `json` posted; raises WebhookVerificationError."""
    return Webhook(secret).verify(body, headers)


def parts(secret: str, headers: dict, body: bytes) -> dict:
    """What the router `http` posted, by the names of the parts; raises WebhookVerificationError."""
    signed = Webhook(secret).verify(headers["webhook-part-digests"], headers)
    # A web framework has done this already.
    form = email.message_from_bytes(f"Content-Type: {headers['content-type']}\r\n\r\n".encode() + body)
    found = {p.get_param("name", header="content-disposition"): p.get_payload(decode=True) for p in form.get_payload()}
    assert signed == [{"name": n, "sha256": hashlib.sha256(c).hexdigest()} for n, c in found.items()]
    return found


if __name__ == "__main__":
    secret, headers, body = sys.argv[1], json.load(open(sys.argv[2])), open(sys.argv[3], "rb").read()
    if headers["content-type"] == "application/json":
        print(document(secret, headers, body)["type"])
    else:
        print(" ".join(parts(secret, headers, body)))
