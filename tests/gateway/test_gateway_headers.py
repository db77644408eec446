"""Headers that browsers keep themselves to, on every answer of every route, errors included, with TLS and without."""

import re
from html.parser import HTMLParser

import pytest
import trustme
from asking import Answer
from doorcallers import all_doors
from starlette.routing import Mount, Route
from waiting import HANG_S

from emotalk_gateway.listening.secure import OTHERS_PAGES
from emotalk_gateway.page.viewer import STATIC

pytestmark = pytest.mark.server

ORIGIN = "https://example.org"


@pytest.fixture(scope="module", params=["http", "https"])
def asked(request, gateway_to, tmp_path_factory):
    """``asked(method, path)`` of a gateway that pages of :data:`ORIGIN` may ask; ``asked.tls``."""
    folder = tmp_path_factory.mktemp("headers")
    (folder / "avatars").mkdir()
    ca, tls = trustme.CA(), {}
    if request.param == "https":
        own = ca.issue_cert("127.0.0.1")
        (folder / "own.pem").write_bytes(b"".join(part.bytes() for part in own.cert_chain_pems))
        (folder / "own.key").write_bytes(own.private_key_pem.bytes())
        tls = {"tls_cert": folder / "own.pem", "tls_key": folder / "own.key"}
    with gateway_to(cors_origins=[ORIGIN], avatars=folder / "avatars", doors=all_doors(folder), **tls) as gateway:

        def ask(method, path, port=gateway.port, **headers):
            connection = connected(port if port is not None else gateway.port, tls and ca)
            try:
                connection.request(method, path, b"" if method == "POST" else None, headers)
                found = connection.getresponse()
                return Answer(found.status, {k.lower(): v for k, v in found.getheaders()}, found.read())
            finally:
                connection.close()

        ask.tls, ask.gateway = bool(tls), gateway
        yield ask


def connected(port, ca):
    import http.client
    import ssl

    if not ca:
        return http.client.HTTPConnection("127.0.0.1", port, timeout=HANG_S)
    context = ssl.create_default_context(cadata=ca.cert_pem.bytes().decode())
    return http.client.HTTPSConnection("127.0.0.1", port, timeout=HANG_S, context=context)


def routes(app):
    """A method and a path of each route."""
    for route in app.routes:
        if isinstance(route, Route):
            path = re.sub(r"\{[^}]*\}", "x", route.path)
            yield from ((method, path) for method in sorted(route.methods or {"GET"}))
        elif isinstance(route, Mount):
            yield from (("GET", f"{route.path}/{file.relative_to(STATIC)}") for file in STATIC.rglob("*.*"))


def secure(answer, tls, path):
    """The headers are there; of a page, its policy lets nothing in that is not the gateway's."""
    headers = answer.headers
    assert headers["x-content-type-options"] == "nosniff", path
    assert headers["referrer-policy"] == "no-referrer", path
    assert ("strict-transport-security" in headers) is tls, path
    policy = headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy, path
    assert "base-uri 'none'" in policy or "base-uri 'self'" in policy, path
    if path in OTHERS_PAGES:
        return
    assert "default-src 'none'" in policy or "default-src 'self'" in policy, path
    assert "unsafe" not in policy, path
    assert "*" not in policy, path


def test_every_route_has_them(asked):
    app = asked.gateway.server.config.app
    found = set(routes(app))
    assert len(found) > 40
    assert {("GET", "/"), ("POST", "/api/v1/convert"), ("GET", "/static/main.js"), ("GET", "/docs")} <= found
    for method, path in sorted(found):
        answer = asked(method, path, Origin=ORIGIN, Accept="text/html")
        secure(answer, asked.tls, path)
        assert answer.headers["access-control-allow-origin"] in (ORIGIN, "*"), path
        other = asked(method, path, Origin="https://else.example")
        assert "access-control-allow-origin" not in other.headers, path


def test_errors_of_every_kind_have_them(asked):
    for method, path, headers, status in (
        ("GET", "/none", {}, 404),
        ("PUT", "/", {}, 405),
        ("GET", "/static/none.js", {}, 404),
        ("GET", "/", {"Host": "evil.example"}, 421),
        ("POST", "/api/v1/process-audio-stream", {}, 400),
    ):
        answer = asked(method, path, **headers)
        assert answer.status == status
        secure(answer, asked.tls, path)


def test_the_omniverse_door_has_them(asked):
    if asked.tls:
        pytest.skip("doors(service) of this gateway were given no certificate")
    secure(asked("GET", "/status", asked.gateway.doors[2].port), False, "/status")
    assert asked("GET", "/status", asked.gateway.doors[2].port, Origin=ORIGIN).status == 403


class Pieces(HTMLParser):
    """Scripts, styles and handlers that stand in a page itself."""

    def __init__(self):
        super().__init__()
        self.inline = []

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if (tag == "script" and "src" not in given and given.get("type") != "importmap") or tag == "style":
            self.inline.append(tag)
        self.inline += [name for name in given if name.startswith("on") or name == "style"]


def test_no_page_of_ours_needs_what_its_policy_forbids(asked):
    app = asked.gateway.server.config.app
    pages = 0
    for method, path in sorted(set(routes(app))):
        if method != "GET" or path in ("/docs", "/docs/oauth2-redirect"):
            continue
        answer = asked("GET", path, Accept="text/html")
        if answer.status == 200 and answer.headers.get("content-type", "").startswith("text/html"):
            pages += 1
            parser = Pieces()
            parser.feed(answer.body.decode())
            assert parser.inline == [], path
    assert pages >= 1
