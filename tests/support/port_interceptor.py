"""Intercepts the reconciler's calls of its ports, so that a test can act at any of them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from rotator.errors import CredentialRefused

Moment = Literal["before", "after"]
MOMENTS: tuple[Moment, Moment] = ("before", "after")
#: Called in the reconciler's thread, to which whatever it raises is raised.
Interruption = Callable[[], object]


class Killed(BaseException):
    """Simulates SIGKILL: nothing of the process runs any more, and its lease is not released."""


@dataclass(kw_only=True)
class Calls:
    """The reconciler's calls of its ports, and the actions planned for some of them."""

    #: Names such as `issuer.create_secret`, in the order of the calls.
    names: list[str] = field(default_factory=list)
    #: What the ports raised.
    errors: list[BaseException] = field(default_factory=list)
    is_dead: bool = False
    _plans: list[tuple[Moment, str, int, Interruption]] = field(default_factory=list)

    def plan(self, moment: Moment, prefix: str, number: int, action: Interruption) -> None:
        """Interrupt the `number`th call from now whose name begins with `prefix`, once."""
        self._plans.append((moment, prefix, self.count(prefix) + number, action))

    def count(self, prefix: str, upto: int | None = None) -> int:
        """Count the calls whose name begins with `prefix`; "" for any at Vonage or Vault.

        All so far, or only the first `upto` of them.
        """
        return len([name for name in self.names[:upto] if _matches(name, prefix)])

    def kill(self) -> None:
        """End the process here."""
        self.is_dead = True
        raise Killed

    def reach(self, moment: Moment, name: str, place: int) -> None:
        """Run the actions planned for this moment of a call, the `place`th of all.

        One call may be made within another: the last look before an effect.
        """
        for plan in tuple(self._plans):
            planned_moment, prefix, number, action = plan
            is_due = planned_moment == moment and _matches(name, prefix)
            if is_due and self.count(prefix, place) == number:
                self._plans.remove(plan)
                action()


def _matches(name: str, prefix: str) -> bool:
    return name.startswith(prefix or ("issuer.", "store."))


class PortInterceptor:
    """A port whose calls are recorded and passed on to the real one."""

    def __init__(self, name: str, port: object, calls: Calls) -> None:
        """Pass calls on to `port`."""
        self._name, self._port, self._calls = name, port, calls

    @staticmethod
    def _answer(target: Any, args: Any, options: Any) -> object:  # noqa: ANN401  # any call's
        """Return the answer, also if it is a refusal of the credential."""
        try:
            return target(*args, **options)
        except CredentialRefused as refusal:
            return refusal

    def __getattr__(self, method: str) -> Any:  # noqa: ANN401  # of whatever type a property is
        """Return the port's method, intercepted; a property as it is."""
        name, target = f"{self._name}.{method}", getattr(self._port, method)
        if not callable(target):
            return target

        def call(*args: object, **options: object) -> object:
            calls = self._calls
            if calls.is_dead:
                raise Killed
            calls.names.append(name)
            place = len(calls.names)
            try:
                calls.reach("before", name, place)
                result: object = self._answer(target, args, options)
                calls.reach("after", name, place)
            except BaseException as error:
                calls.errors.append(error)
                raise
            if isinstance(result, CredentialRefused):
                calls.errors.append(result)
                raise result
            return result

        return call
