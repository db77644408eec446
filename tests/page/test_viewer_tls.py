"""The page over HTTPS and WSS in Chromium: what it trusts works, what it does not is refused in words."""

import base64
import hashlib

import pytest
import trustme
from browsing import Page, served
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import load_pem_x509_certificate
from selenium.common.exceptions import WebDriverException

import headless

pytestmark = pytest.mark.browser

SPEAK = """
const done = arguments[arguments.length - 1];
const socket = new WebSocket(`wss://${location.host}/ws/stream`);
socket.onopen = () => socket.send(JSON.stringify({type: "start", sample_rate: 16000}));
socket.onmessage = (event) => { socket.close(); done(JSON.parse(event.data).type); };
socket.onerror = () => done("error");
"""


@pytest.fixture
def files(tmp_path):
    """The settings of a gateway with a certificate, and the hash by which Chromium trusts its key."""
    ca = trustme.CA()
    own = ca.issue_cert("127.0.0.1")
    chain = b"".join(part.bytes() for part in own.cert_chain_pems)
    (tmp_path / "own.pem").write_bytes(chain)
    (tmp_path / "own.key").write_bytes(own.private_key_pem.bytes())
    (tmp_path / "ca.pem").write_bytes(ca.cert_pem.bytes())
    key = load_pem_x509_certificate(chain).public_key()
    spki = hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()
    tls = {"tls_cert": tmp_path / "own.pem", "tls_key": tmp_path / "own.key"}
    return tls, tmp_path / "ca.pem", base64.b64encode(spki).decode()


def refusal(driver, url):
    """Chromium's words for a page that it does not show."""
    try:
        driver.get(url)
    except WebDriverException as error:  # the page was not loaded
        return str(error)
    return driver.execute_script("return document.body.innerText")


def test_the_page_works_over_tls_and_strangers_are_refused_in_words(triton, files, voice):
    if reason := headless.missing():
        pytest.skip(reason)
    tls, authority, spki = files
    trusting = [f"--ignore-certificate-errors-spki-list={spki}"]
    with (
        headless.chromium(["--disable-3d-apis"], trusting) as driver,
        headless.chromium(["--disable-3d-apis"]) as stranger,
    ):
        with served(triton, **tls) as url:
            secure = url.replace("http://", "https://")
            page = Page(driver)
            page.open(secure)
            with page.answered():
                page.choose(voice)
            assert page.run("return isSecureContext")
            assert driver.execute_async_script(SPEAK) == "started"
            page.check()
            assert "ERR_CERT_AUTHORITY_INVALID" in refusal(stranger, secure)
        with served(triton, **tls, tls_client_ca=authority) as url:
            assert "ERR_BAD_SSL_CLIENT_AUTH_CERT" in refusal(driver, url.replace("http://", "https://"))
