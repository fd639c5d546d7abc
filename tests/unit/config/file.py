"""The parts of a configuration file, and what can be seen of an error in one."""

import traceback
from collections.abc import Callable, Mapping
from types import MappingProxyType

from rotator.config import Settings
from rotator.errors import ConfigError

NOTHING: Mapping[str, str] = MappingProxyType({})

VAULT = '[vault]\naddress = "https://vault.example.com:8200"\n'
SMS = '[[accounts]]\nname = "sms"\napi_key = "abcd1234"\nvault_path = "vonage/sms"\n'
VOICE = '[[accounts]]\nname = "voice"\napi_key = "efgh5678"\nvault_path = "vonage/voice"\n'
PARENT = '[[accounts]]\nname = "parent"\napi_key = "ijkl9012"\nvault_path = "vonage/parent"\n'

Read = Callable[..., Settings]
Refuse = Callable[..., ConfigError]


def seen(error: ConfigError) -> str:
    """All that an operator or a log could see of an error."""
    return "".join(traceback.format_exception(error)) + repr(error) + str(error.hint)
