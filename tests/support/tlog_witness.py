"""A witness of transparency logs, which remembers one log. Source: c2sp.org/tlog-witness."""

import threading

from rotator.model.checkpoint import Checkpoint, Note, Submission
from rotator.model.merkle import EMPTY_ROOT, is_extension
from tests.support.webhook_receiver import (
    Answer,
    WebhookHandler,
    WebhookReceiver,
    content,
    status,
)


class TlogWitness:
    """Knows how far the log has got, and asks for proof. Signatures are not looked at."""

    def __init__(self, receiver: WebhookReceiver) -> None:
        """Answer what `receiver` gets; nothing has been seen yet."""
        self.receiver = receiver
        self.size, self.root = 0, EMPTY_ROOT
        #: The sizes that were accepted.
        self.accepted: list[int] = []
        #: The status of each answer.
        self.answered: list[int] = []
        self._lock = threading.Lock()
        receiver.answer = self.answer

    def answer(self, handler: WebhookHandler) -> None:
        """Answer add-checkpoint."""
        given = Submission.parse(handler.received.body.decode())
        with self._lock:
            code, answer = self._judge(given)
            self.answered.append(code)
        answer(handler)

    def _judge(self, given: Submission) -> tuple[int, Answer]:
        seen = Checkpoint.parse(Note.parse(given.note).text)
        if given.old > seen.size:
            return 400, status(400)
        if given.old != self.size:
            return 409, content(f"{self.size}\n", 409, Content_Type="text/x.tlog.size")
        if given.old == seen.size and seen.root != self.root:
            return 409, content("another root\n", 409, Content_Type="text/plain")
        if not is_extension(self.size, self.root, seen.size, seen.root, given.proof):
            return 422, status(422)
        self.size, self.root = seen.size, seen.root
        self.accepted.append(seen.size)
        return 200, content("— w.example/1 AAAAAAAAAAAA\n")
