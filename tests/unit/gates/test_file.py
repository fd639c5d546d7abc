"""The gate of files: what was rendered, and what cannot be read."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from rotator.gates.file import check
from rotator.gates.verdict import NewSecret, Undecided, Verdict

NEW, OLD = "3b8f0a52-1a6c-4f0e-9d6e-2f5f3c1f7a10", "11111111-1a6c-4f0e-9d6e-2f5f3c1f7a10"
SECRET = NewSecret(secret_id=NEW, old_secret_id=OLD)


def checked(*patterns: Path | str) -> Verdict:
    """Ask the gate."""
    return check([str(pattern) for pattern in patterns], SECRET)


def test_it_opens_once_every_file_names_the_new_secret(tmp_path: Path) -> None:
    """Wherever the id stands in the file; those that are behind are counted and named."""
    (tmp_path / "a.env").write_text(f"# secret {NEW}\nKEY=x\n")
    (tmp_path / "b.env").write_text(f"# secret {OLD}\nKEY=y\n")
    before = checked(tmp_path / "*.env")
    (tmp_path / "b.env").write_text(f'{{"id":"{NEW}"}}')
    after = checked(tmp_path / "*.env")

    assert before.document() == {
        "open": False,
        "reason": "1 of 2 consumers use the new secret; not yet: "
        f"{tmp_path}/b.env (it names the old secret)",
        "consumers": 2,
        "converged": 1,
        "behind": [f"{tmp_path}/b.env"],
    }
    assert after.document() == {
        "open": True,
        "reason": "2 of 2 consumers use the new secret",
        "consumers": 2,
        "converged": 2,
        "behind": [],
    }


@pytest.mark.parametrize("text", ["", NEW[:-1], f"{NEW}0", f"a-{NEW}", f"{NEW} {OLD}"])
def test_a_file_counts_only_with_the_whole_id_and_without_the_old_one(
    tmp_path: Path, text: str
) -> None:
    """A part of an id is another's, and a file with both is half rendered."""
    (tmp_path / "a").write_text(text)

    assert not checked(tmp_path / "a").is_open


def test_what_cannot_be_read_is_behind(tmp_path: Path) -> None:
    """A folder, a pipe, a link to nothing, nothing at all, or too much to be rendered."""
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("nothing")
    (tmp_path / "large").write_text(NEW + " " * 2**20)
    reasons = {
        "folder": "it is not a regular file",
        "pipe": "it is not a regular file",
        "link": "no such file or directory",
        "gone": "no such file or directory",
        "large": "it is larger than 1 MiB",
    }
    for name, reason in reasons.items():
        verdict = checked(tmp_path / name)

        assert not verdict.is_open
        assert verdict.reason.endswith(f"not yet: {tmp_path}/{name} ({reason})")


def test_a_pattern_without_a_match_is_shut(tmp_path: Path) -> None:
    """No consumer is no proof, also where another pattern has matches."""
    (tmp_path / "a.env").write_text(NEW)

    with pytest.raises(Undecided, match=r"nothing matches .*/\*\.conf"):
        checked(tmp_path / "*.env", tmp_path / "*.conf")


def test_a_folder_that_may_not_be_looked_into_is_shut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A consumer in it would be passed over."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.env").write_text(NEW)
    real_lstat = os.lstat

    def lstat(path: str) -> os.stat_result:
        if path == f"{tmp_path}/b/x.env":
            raise PermissionError(13, "Permission denied")
        return real_lstat(path)

    assert checked(tmp_path / "*/x.env").is_open

    monkeypatch.setattr(os, "lstat", lstat)
    with pytest.raises(Undecided, match=r"b/x\.env cannot be read: permission denied"):
        checked(tmp_path / "*/x.env")


def test_a_folder_that_may_not_be_listed_is_shut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Likewise; one that has gone meanwhile has no consumer in it."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.env").write_text(NEW)
    reasons: list[OSError] = [FileNotFoundError(2, "gone"), PermissionError(13, "Denied")]
    real_iterdir = Path.iterdir

    def iterdir(folder: Path) -> Iterator[Path]:
        if folder == tmp_path / "b":
            raise reasons[0]
        return real_iterdir(folder)

    monkeypatch.setattr(Path, "iterdir", iterdir)

    assert checked(tmp_path / "*/*.env").document()["consumers"] == 1
    del reasons[0]
    with pytest.raises(Undecided, match="/b cannot be read: denied"):
        checked(tmp_path / "*/*.env")


def test_no_consumer_at_all_is_shut() -> None:
    """There is nobody to have proved anything."""
    verdict = Verdict.of([])

    assert not verdict.is_open
    assert verdict.reason == "there is no consumer to ask"


def test_patterns_match_as_in_a_shell(tmp_path: Path) -> None:
    """In every part of a path, without hidden names; a file may have the name of a pattern."""
    for name in ("a/x.env", "b/x.env", "b/.x.env", "c/y.env", "[d]"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(NEW)
    counted = {
        pattern: verdict.convergence.consumers
        for pattern in ("*/x.env", "?/*.env", "b/.*", "[d]", "[ab]/x.env")
        if (verdict := checked(tmp_path / pattern)).convergence
    }

    assert counted == {"*/x.env": 2, "?/*.env": 3, "b/.*": 1, "[d]": 1, "[ab]/x.env": 2}


def test_a_path_counts_once(tmp_path: Path) -> None:
    """However many patterns match it."""
    (tmp_path / "a.env").write_text("")
    verdict = checked(tmp_path / "a.env", tmp_path / "a.*", tmp_path / "*")

    assert verdict.reason.startswith("0 of 1 consumers")


def test_only_so_many_names_are_named(tmp_path: Path) -> None:
    """They are counted all the same; a name has no line break in it."""
    for number in range(30):
        (tmp_path / f"{number:02}\n{'x' * 200}").write_text("")
    document = checked(tmp_path / "*").document()

    assert document["consumers"] == 30
    assert len(document["behind"]) == 20
    assert all(len(name) <= 100 and name.isprintable() for name in document["behind"])
    assert document["reason"].endswith(" and 10 more")
