"""One archive's DICOMweb address: checked, connected with TLS verified, its failures said in one line."""

from __future__ import annotations

import base64
import ipaddress
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from la_medical.errors import PacsError
from la_medical.pacs.credentials import Credentials

TIMEOUT_S = (10.0, 120.0)
"""Seconds to wait for a connection, and for the next bytes of an answer."""
_LOOSE_UID = re.compile(r"[0-9][0-9.]{0,63}")


@dataclass(frozen=True)
class Server:
    """A DICOMweb service.

    `url`: `https://host[:port]/path`, without user and password. `http` is taken for this machine only, or with
    `clear_text`. `ca_file`: PEM file of the authority that signed the server's certificate, where the system does not
    know it; certificates are verified always. Proxies, `.netrc` and other variables of the environment are not used:
    patients' data go to the address that was given and nowhere else.

    Raises:
        PacsError: an address that is none, holds a password, or is clear text to another machine; no such `ca_file`.
    """

    url: str
    credentials: Credentials = field(default_factory=Credentials)
    ca_file: Path | None = None
    clear_text: bool = False

    def __post_init__(self) -> None:
        _check_address(self.url, self.clear_text)
        if self.ca_file is not None and not Path(self.ca_file).is_file():
            raise PacsError(f"{self.ca_file}: no such file; expected certificates in PEM form")

    @cached_property
    def client(self) -> Any:
        """A `dicomweb_client.DICOMwebClient` of this address."""
        try:
            import requests
            from dicomweb_client.web import DICOMwebClient
        except ImportError as error:
            raise PacsError(f"{error.name} is not installed; run pip install 'la_medical[pacs]'") from error
        session = requests.Session()
        adapter = _plain_wildcards(requests.adapters.HTTPAdapter)
        session.mount("http://", adapter)
        session.mount("https://", adapter)
        session.trust_env = False  # else REQUESTS_CA_BUNDLE would replace `verify`, and .netrc the credentials
        session.verify = True if self.ca_file is None else str(self.ca_file)
        session.max_redirects = 0
        if self.credentials:
            session.auth = _Authorization(self.credentials)
        with self.answering():
            client = DICOMwebClient(self.url.rstrip("/"), session=session, timeout=TIMEOUT_S)
        client.set_http_retry_params(max_attempts=3, wait_exponential_multiplier=250)
        return client

    @contextmanager
    def answering(self, what: str = "") -> Iterator[None]:
        """Failures of a request inside the block become one `PacsError`; `what` says what was asked for."""
        import requests
        import retrying  # type: ignore[import-untyped]

        asked = f"{self.url}: " + (f"{what}: " if what else "")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of values and headers that break the standard's rules
                yield
        except PacsError:
            raise
        except (ValueError, KeyError, TypeError, AttributeError) as error:  # before RequestException: JSON's is both
            raise PacsError(f"{asked}the answer is not DICOMweb ({_reason(error)}); is the path right?") from error
        except retrying.RetryError as error:
            raise PacsError(asked + _refusal(error.last_attempt.value)) from None
        except requests.exceptions.SSLError as error:
            raise PacsError(f"{asked}TLS failed ({_reason(error)}); give the authority's file with --ca-file") from None
        except requests.exceptions.Timeout:
            raise PacsError(f"{asked}no answer in time; is the archive busy? Run the same command again") from None
        except requests.exceptions.TooManyRedirects:
            raise PacsError(f"{asked}sent us to another address, which is not followed; give that address") from None
        except requests.exceptions.HTTPError as error:
            raise PacsError(asked + _refusal(error.response)) from None
        except (requests.exceptions.RequestException, ConnectionError) as error:
            raise PacsError(
                f"{asked}cannot be reached ({_reason(error)}); does it run, is the address right?"
            ) from None


def _plain_wildcards(adapter: type[Any]) -> Any:
    """An adapter that sends `*` and `?` of a query as they are (RFC 3986 section 3.4 allows it): Orthanc does not
    understand them otherwise, and the client encodes them.
    """

    class PlainWildcards(adapter):
        def send(self, request: Any, *arguments: Any, **options: Any) -> Any:
            address, mark, query = request.url.partition("?")
            request.url = address + mark + query.replace("%2A", "*").replace("%3F", "?")
            return super().send(request, *arguments, **options)

    return PlainWildcards()


class _Authorization:
    """Adds the credentials to each request, in UTF-8 (RFC 7617, RFC 6750)."""

    def __init__(self, given: Credentials) -> None:
        self._given = given

    def __call__(self, request: Any) -> Any:
        given = self._given
        pair = base64.b64encode(f"{given.user}:{given.password}".encode()).decode()
        request.headers["Authorization"] = f"Bearer {given.token}" if given.token else f"Basic {pair}"
        return request


def checked_uid(uid: str) -> str:
    """A UID that may stand in an address and name a folder: digits and single dots, at most 64 characters.

    Raises:
        PacsError: any other text. Leading zeros in a part break the rules, and some archives have them: taken.
    """
    if not _LOOSE_UID.fullmatch(uid) or ".." in uid or uid.endswith("."):
        raise PacsError(f"{uid[:80]!r} is no DICOM UID; expected digits and dots, at most 64 characters")
    return uid


def _check_address(url: str, clear_text: bool) -> None:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
        parts = urlsplit("")
    if "@" in url.split("?")[0]:
        raise PacsError(
            "the address holds a user or password; leave them out and give LA_MEDICAL_PACS_USER and "
            "LA_MEDICAL_PACS_PASSWORD in the environment, or --credentials FILE"
        )
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment:
        raise PacsError(f"{url!r} is no DICOMweb address; expected https://HOST[:PORT]/PATH, as https://pacs/dicom-web")
    if parts.scheme == "http" and not (clear_text or is_this_machine(host)):
        raise PacsError(
            f"{url}: http sends passwords and patients' data in clear text; use https, or --clear-text where the "
            "network itself is protected"
        )


def is_this_machine(host: str) -> bool:
    """Whether a host name or address is the loopback."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _reason(error: BaseException) -> str:
    """The innermost reason of a failed connection, short, without the object addresses that urllib3 prints."""
    text = str(error)
    for pattern in (r"certificate verify failed: [^(\[\])]*", r"\[Errno -?\d+\] ([^'\")]*)", r"\[SSL[^]]*\] [^(')]*"):
        found = re.search(pattern, text)
        if found:
            return found.group(found.lastindex or 0).strip()
    return f"{type(error).__name__}: {' '.join(re.sub(r'<[^>]*>', '', text).split())[:160]}"


def _refusal(response: Any) -> str:
    code = response.status_code
    if code == 401:
        return (
            "401, user, password or token not accepted; check LA_MEDICAL_PACS_USER and LA_MEDICAL_PACS_PASSWORD, or "
            "--credentials FILE"
        )
    if code == 403:
        return "403, this user may not do that; ask the archive's administrator"
    if code == 404:
        return "404, not found; check the path of the address and the UIDs"
    return f"{code} {' '.join(str(response.reason).split())[:100]}; see the archive's log"
