"""Observers that hand what they are told to a function."""

from collections.abc import Callable

from rotator.rotation.ports import Observer


class CallObserver(Observer):
    """Hands each HTTP attempt on: operation, code and seconds."""

    def __init__(self, call: Callable[[str, str, float], object]) -> None:
        """Call `call` for each."""
        self._call = call

    def call_finished(self, api: str, operation: str, code: str, seconds: float) -> None:
        """Hand it on."""
        del api
        self._call(operation, code, seconds)
