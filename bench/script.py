"""The script that one would write without rotator: no ledger, no write-ahead, no second look.

It is what rotator's cost is compared with. It loses the secret when it dies in the middle.
As a program it reads on standard input what `rotator sim` printed, and rotates once.
"""

import json
import secrets
import string
import sys
from typing import Any

import httpx
import hvac

ALPHABET = string.ascii_letters + string.digits


class Script:
    """The plain script, with its clients kept open between rotations."""

    def __init__(self, ready: dict[str, Any]) -> None:
        """Be ready for the first account of `rotator sim`, which printed `ready`."""
        account = ready["accounts"][0]
        self._api_key, self._path = account["api_key"], account["vault_path"]
        self._vault = hvac.Client(url=ready["vault_url"], token=ready["vault_token"])
        self._vonage = httpx.Client(base_url=ready["vonage_url"])

    def rotate(self) -> None:
        """Read, list, create, write, read back, test, delete."""
        entry = self._read()
        old = (self._api_key, entry["api_secret"])
        (old_id,) = self._ids(old)
        value = "".join(secrets.choice(ALPHABET) for _ in range(22)) + "aA1"
        created = self._vonage.post(self._url(), json={"secret": value}, auth=old)
        created.raise_for_status()
        self._vault.secrets.kv.v2.create_or_update_secret(
            self._path, entry | {"api_secret": value}, mount_point="secret"
        )
        if self._read()["api_secret"] != value:
            raise RuntimeError
        new = (self._api_key, value)
        self._ids(new)
        self._vonage.delete(f"{self._url()}/{old_id}", auth=new).raise_for_status()

    def close(self) -> None:
        """Close the connections."""
        self._vonage.close()

    def _url(self) -> str:
        return f"/accounts/{self._api_key}/secrets"

    def _ids(self, auth: tuple[str, str]) -> list[str]:
        answer = self._vonage.get(self._url(), auth=auth)
        answer.raise_for_status()
        return [secret["id"] for secret in answer.json()["_embedded"]["secrets"]]

    def _read(self) -> dict[str, str]:
        answer = self._vault.secrets.kv.v2.read_secret_version(
            self._path, mount_point="secret", raise_on_deleted_version=True
        )
        fields: dict[str, str] = answer["data"]["data"]
        return fields


if __name__ == "__main__":
    Script(json.load(sys.stdin)).rotate()
