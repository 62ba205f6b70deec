"""The one module that imports grafana_api: a Grafana's HTTP API, whose every error says what to do about it."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import requests
from grafana_api.grafana_api import GrafanaAPI, GrafanaException
from reward_schemas.errors import MonitorError

_TIMEOUT_S = 20.0
_REMEDIES = {
    401: "the token is unknown or has expired: make one for a service account, and put it alone into the file",
    403: "the token may not do this: dashboards and folders need the role Editor, a new data source the role Admin "
    "(--datasource-uid takes one that is there)",
    404: "look whether the address is that of Grafana itself, with the path that it is served under",
    409: "the name is taken by something else there: choose another (--folder, --datasource-uid)",
    412: "somebody saved it meanwhile: look at it (--dry-run --diff), and publish again",
    422: "this Grafana does not take it as it is: is it older than 9.3?",
}


class GrafanaError(MonitorError):
    """A Grafana refused, or gave no answer. status: of HTTP; 0: it gave none."""

    def __init__(self, what: str, *, where: str, remedy: str, status: int = 0) -> None:
        super().__init__(what, where=where, remedy=remedy)
        self.status = status


class Grafana:
    """A Grafana at an address, entered with a token. Paths are those behind /api. Every method raises GrafanaError."""

    def __init__(self, url: str, token: str) -> None:
        if not token.isascii() or not token.isprintable() or " " in token:
            raise MonitorError("The file holds no token of Grafana's.", remedy="put a service account's token alone into it")
        self.url = url.rstrip("/")
        parts = _parts(url)
        path = parts.path.strip("/")
        self._api = GrafanaAPI(
            token,
            host=f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname,
            port=parts.port,
            url_path_prefix=f"{path}/" if path else "",
            protocol=parts.scheme,
            timeout=_TIMEOUT_S,
        )
        self._api.s.max_redirects = 0  # a POST that is sent elsewhere arrives there as a GET

    def __enter__(self) -> Grafana:
        return self

    def __exit__(self, *_: object) -> None:
        self._api.s.close()

    def get(self, path: str) -> Any:
        """What is there; None where nothing is."""
        try:
            return self._ask("GET", path)
        except GrafanaError as error:
            if error.status == 404:
                return None
            raise

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """Makes something, or a new version of it."""
        return self._ask("POST", path, body)

    def put(self, path: str, body: dict[str, Any]) -> Any:
        """Replaces something."""
        return self._ask("PUT", path, body)

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        try:
            return getattr(self._api, method)(path, json=body)
        except GrafanaException as error:
            said = error.response.get("message", "") if isinstance(error.response, dict) else ""
            raise GrafanaError(
                f"Grafana refused {method} {path}: HTTP {error.status_code}" + (f", {said:.300}." if said else "."),
                where=self.url,
                remedy=_REMEDIES.get(error.status_code, "look into Grafana's log"),
                status=error.status_code,
            ) from error
        except requests.exceptions.TooManyRedirects as error:
            raise self._none("It sends elsewhere, which is not followed.", "name the address where it ends") from error
        except requests.exceptions.JSONDecodeError as error:
            raise self._none("What answers there is no Grafana.", _REMEDIES[404]) from error
        except requests.exceptions.SSLError as error:
            raise self._none(
                "HTTPS with it fails.", "name the authority of its certificate in the variable REQUESTS_CA_BUNDLE"
            ) from error
        except requests.exceptions.RequestException as error:
            raise self._none(
                f"Grafana gives no answer ({type(error).__name__}).", "look whether it runs and can be reached from here"
            ) from error

    def _none(self, what: str, remedy: str) -> GrafanaError:
        return GrafanaError(what, where=self.url, remedy=remedy)


def _parts(url: str) -> Any:
    try:
        parts = urlsplit(url)
        valid = (
            parts.scheme in ("http", "https")
            and bool(parts.hostname)
            and (parts.port or 1)
            and not (parts.query or parts.fragment)
        )
    except ValueError:
        parts, valid = urlsplit(""), False
    if not valid or parts.username or parts.password:
        raise MonitorError(
            "That is no address of a Grafana.",
            remedy="give it as https://host:port/path, without a name, password or token in it",
        )
    return parts
