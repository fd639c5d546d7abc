from rotator.model import Actor, SecretValue
from rotator.model.actor import LONGEST


def test_the_record_names_who_acts_from_where_and_why() -> None:
    """What is not given has no fact."""
    assert Actor(by="ann", host="here", because="incident 42").facts() == {
        "by": "ann",
        "from": "here",
        "because": "incident 42",
    }
    assert Actor(by="ann", host="here").facts() == {"by": "ann", "from": "here"}


def test_no_text_of_a_person_can_spoil_the_record() -> None:
    """Each is one bounded line, without what a terminal interprets and without a live value."""
    live = SecretValue("Abcdefgh12345678")
    facts = Actor(by="an\x1b[2Jn", host="h" * 500, because=f"it is\n{live.reveal()}!").facts()

    assert facts == {"by": "an\ufffd[2Jn", "from": "h" * LONGEST, "because": "it is ***!"}
