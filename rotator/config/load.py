"""Reads the file and makes settings of it, or says all that is wrong with it at once."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rotator.config import environment
from rotator.config.document import Document
from rotator.config.path import CREDENTIALS, Surroundings
from rotator.config.problem import failure
from rotator.config.settings import Settings
from rotator.errors import ConfigError


def load(path: Path, environ: Mapping[str, str]) -> Settings:
    """Read the configuration at `path`, overridden by `environ`. Blocks on that one file.

    Files that it names are not opened, and need not exist.

    Raises:
        ConfigError: the file cannot be read, or is not usable; the message has every reason.
    """
    tables = _read(path)
    base = path.absolute().parent
    # Outside a unit, credentials are where the unit gets them from.
    environ = {**environ, CREDENTIALS: environ.get(CREDENTIALS) or str(base)}
    origins, problems = environment.apply(tables, environ)
    surroundings = Surroundings(base=base, environ=environ)
    document = Document(tables, surroundings, origins)
    settings = document.settings()
    problems = [*document.problems, *problems]
    if settings is None or problems:
        raise failure(path, problems)
    return settings


def _read(path: Path) -> dict[str, Any]:
    hint = None
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        what = "there is no such file"
        hint = "name the configuration by `rotator --config PATH` or $ROTATOR_CONFIG"
    except IsADirectoryError:
        what, hint = "is a directory", "name the file in it"
    except PermissionError:
        what, hint = "cannot be read: permission denied", f"let this user read it: chmod a+r {path}"
    except OSError as error:
        what = f"cannot be read: {(error.strerror or 'no reason given').lower()}"
    except UnicodeDecodeError as error:
        what, hint = f"is not UTF-8 (byte {error.start})", "save the file as UTF-8"
    except RecursionError:
        what = "is nested too deeply"
    except ValueError as error:
        what, hint = _syntax(str(error)), "the file is TOML: text stands in quotes"
    raise ConfigError(f"{path}: {what}", hint=hint)


def _syntax(message: str) -> str:
    """Put the place of a syntax error before what is wrong there."""
    match = re.fullmatch(r"(.*) \(at (.*)\)", message, flags=re.DOTALL)
    what, where = (match[1], f"{match[2]}: ") if match else (message, "")
    return f"{where}{what[:1].lower()}{what[1:]}"
