"""The example configuration, which is where a new one begins."""

import json
import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

from rotator.config import types, urls
from rotator.config.errors import Unfit

_NAME = "config.example.toml"


def example() -> str:
    """Give the example as it is: from inside an installed wheel, else beside the checkout."""
    installed = Path(str(resources.files("rotator"))) / _NAME
    file = installed if installed.is_file() else Path(__file__).parents[2] / _NAME
    return file.read_text(encoding="utf-8")


def filled_in(environ: Mapping[str, str]) -> tuple[str, list[str]]:
    """Give the example with what the environment says of Vault, and the variables it is from.

    A variable that no configuration would take is left alone: `config check` reports it if the
    environment still has it, and an address may hold what belongs in no file.
    """
    text, used = example(), []
    for variable, key, check in (
        ("VAULT_ADDR", "address", urls.web_url),
        ("VAULT_NAMESPACE", "namespace", types.namespace),
    ):
        try:
            value = check(environ.get(variable, ""))
        except Unfit:
            continue
        if value:
            line = f"{key} = {json.dumps(value, ensure_ascii=False)}"
            before, after = re.split(f"^{key} = .*$", text, maxsplit=1, flags=re.MULTILINE)
            text = before + line + after
            used.append(variable)
    return text, used
