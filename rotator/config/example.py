"""The example configuration, from which a new one starts."""

import json
import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

from rotator.config import types, urls
from rotator.config.errors import InvalidValue

_NAME = "config.example.toml"


def example() -> str:
    """Read the example configuration: from an installed wheel, else from the checkout."""
    installed = Path(str(resources.files("rotator"))) / _NAME
    file = installed if installed.is_file() else Path(__file__).parents[2] / _NAME
    return file.read_text(encoding="utf-8")


def filled_in(environ: Mapping[str, str]) -> tuple[str, list[str]]:
    """Return the example with Vault's settings from the environment, and the variables used.

    A variable with an invalid value is ignored: `config check` reports it if it is still set, and
    an address may contain what must not be in a file.
    """
    text, used = example(), []
    for variable, key, check in (
        ("VAULT_ADDR", "address", urls.web_url),
        ("VAULT_NAMESPACE", "namespace", types.namespace),
    ):
        try:
            value = check(environ.get(variable, ""))
        except InvalidValue:
            continue
        if value:
            line = f"{key} = {json.dumps(value, ensure_ascii=False)}"
            before, after = re.split(f"^{key} = .*$", text, maxsplit=1, flags=re.MULTILINE)
            text = before + line + after
            used.append(variable)
    return text, used
