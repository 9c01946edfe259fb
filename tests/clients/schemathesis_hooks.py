"""Hooks of schemathesis: what the document cannot say, each with its reason.

Every other call that the document allows and the server refuses, or the other way round, fails.
"""

import schemathesis

# Valid by the document, and still refused: the sentence of the refusal, and why.
REFUSED = {
    "object does not exist.": "what an id refers to has to be there; FindFace answers 400, not 404",
    "(looks_like)": "what it names has to be there, and of the type of the list",
    "(with)": "which identities can be merged: of one video and type, and not one with itself",
    "(object)": "which object can be taken out of an identity: one of several that are in it",
    "Not a valid string. (token)": "a session begins by a token, or by a name and a password: not by both",
    "Invalid cursor.": "a cursor of another list",
    "No detector for": "what is installed",
    "The picture shows no": "a picture has to show what is looked for",
    "This is no picture that can be read.": "a schema cannot say what a picture is",
    "is empty.": "a file or component of no bytes",
    "is not allowed by the server's configuration.": "an operator says where URLs may lead",
    "which sources and routers must not be.": "this server's own address",
    "Enter a valid URL": "a pattern cannot say what a URL is",
    "stream_settings": "rules over several settings, options of FFmpeg, names of plugins",
}


@schemathesis.check
def valid_is_accepted(ctx, response, case):
    """What the document allows is accepted, but for the reasons above."""
    if case.meta is None or not case.meta.generation.mode.is_positive or response.status_code != 400:
        return
    error = response.json()
    said = f"{error.get('desc')} ({error.get('param')})"
    if not any(sentence in said for sentence in REFUSED):
        raise AssertionError(f"the document allows it, but: {said}")


@schemathesis.check
def invalid_is_refused(ctx, response, case):
    """What the document does not allow is refused, but for the leniency that clients of FindFace rely on."""
    if case.meta is None or case.meta.generation.mode.is_positive or response.status_code >= 300:
        return
    what, query = str(case.meta.phase.data.description), case.query or {}
    is_lenient = (
        # An empty value counts as none.
        any(value in ("", [""], None) for value in query.values())
        # A limit above the most is the most, and no video has a number above the greatest.
        or "maximum" in what
        and ("limit" in query or "id_in" in query)
        # Every value of a query is a text, whatever type was meant by it, and alone a list of one.
        or "Incorrect type" in what
        or what.startswith("violates `type`")
        and "case_in" in what
        # The vendor's lists pass over what they do not know.
        or "additionalProperties" in what
        or "unexpected properties" in what
        # JSON is read whatever it is called: `curl -d` calls it a form.
        or "Content-Type" in what
        # Browsers ask by OPTIONS what they may ask for.
        or case.method == "OPTIONS"
    )
    if not is_lenient:
        raise AssertionError(f"the document does not allow it: {what}")


@schemathesis.serializer("application/wasm", "application/x-tar", "video/mp4")
def as_it_is(ctx, value):
    return value if isinstance(value, bytes) else str(value).encode()


@schemathesis.hook
def map_body(ctx, body):
    """A group that there is, and no camera, so that videos are made for the calls that follow."""
    if isinstance(body, dict):
        for key, there in (("camera_group", 1), ("camera", None)):
            # Others are left, since they may be what a call tries that the document does not allow.
            if type(body.get(key)) is int and abs(body[key]) < 1 << 53:
                body[key] = there
    return body
