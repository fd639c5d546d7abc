"""What loads a configuration of a given text, or sees it refused."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from rotator.config import Settings
from rotator.errors import ConfigError
from tests.support.editor import load_judged
from tests.unit.config.file import NOTHING, SMS, VAULT, Read, Refuse


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Load a file of the given text; by default one with nothing but what is required."""

    def reading(text: str = VAULT + SMS, environ: Mapping[str, str] = NOTHING) -> Settings:
        path = tmp_path / "config.toml"
        path.write_text(text, encoding="utf-8")
        return load_judged(path, environ, is_strict=True)

    return reading


@pytest.fixture
def refuse(read: Read) -> Refuse:
    """Load such a file, and give the error that must come of it."""

    def refusing(text: str, environ: Mapping[str, str] = NOTHING) -> ConfigError:
        with pytest.raises(ConfigError) as caught:
            read(text, environ)
        assert caught.value.exit_code == 2
        return caught.value

    return refusing
