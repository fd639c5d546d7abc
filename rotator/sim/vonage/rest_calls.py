"""The three calls of rest.nexmo.com: balance, top-up and settings."""

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import parse_qsl

from rotator.sim.message import Reply, Request
from rotator.sim.vonage import problems
from rotator.sim.vonage.accounts import Account

TOP_UP = 10.0
_FORWARD_METHODS = ("GET_QUERY_PARAMS", "POST_QUERY_PARAMS", "POST_JSON")
#: name in the request -> name in the answer
_URLS = {"moCallBackUrl": "mo-callback-url", "drCallBackUrl": "dr-callback-url"}


@dataclass(kw_only=True)
class RestCalls:
    """Answers the calls of one account; the caller has checked who may."""

    auto_reload: bool = False
    #: stands for Vonage's own request to a callback URL, which must answer 200
    callback_ok: Callable[[str], bool]

    def answer(self, call: str, request: Request, account: Account) -> Reply:
        """Answer `call`, the last part of the path."""
        match request.method, call:
            case "GET", "get-balance":
                document = {"value": account.balance, "autoReload": self.auto_reload}
                return Reply.json(200, document)
            case "POST", "top-up":
                return self._top_up(account)
            case "POST", "settings":
                return self._settings(request, account)
            case _, "get-balance" | "top-up" | "settings":
                return problems.legacy(405, "method not allowed")
            case _:
                return problems.legacy(404, "not found")

    def _top_up(self, account: Account) -> Reply:
        if not self.auto_reload:
            return problems.legacy(401, "not auto-reload enabled")
        account.balance = round(account.balance + TOP_UP, 2)
        return problems.legacy(200, "success")

    def _settings(self, request: Request, account: Account) -> Reply:
        form = dict(parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True))
        for name in _URLS:
            if (url := form.get(name)) and not self.callback_ok(url):
                return problems.legacy(420, f"{name} did not answer 200 OK")
        method = form.get("httpForwardMethod")
        if method and method not in _FORWARD_METHODS:
            return problems.legacy(420, "httpForwardMethod is invalid")
        _save(form, account)
        return Reply.json(200, shown(account))


def shown(account: Account) -> dict[str, str | int]:
    """Give an account's settings by the names that Vonage answers with."""
    return {
        **dict.fromkeys(_URLS.values(), ""),
        **account.settings,
        "max-outbound-request": 30,
        "max-inbound-request": 30,
        "max-calls-per-second": 30,
    }


def _save(form: dict[str, str], account: Account) -> None:
    for name, answered in {**_URLS, "httpForwardMethod": "http-forward-method"}.items():
        if form.get(name):
            account.settings[answered] = form[name]
        elif name in form:
            account.settings.pop(answered, None)
