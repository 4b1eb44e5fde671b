"""Masking: pseudonyms of payers, and where their key is kept."""

import stat

import pandas as pd
import pytest

from cpsl_notebook import UserError
from cpsl_notebook.earnings.ledger.masking import masked

PAYERS = pd.Series(["ada@a.example", None], dtype="string")


def test_masking_keeps_its_key_in_capsule_home(tmp_path):
    first = masked(PAYERS)
    path = tmp_path / "capsule" / "mask-key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert first.tolist() == masked(PAYERS).tolist() == masked(PAYERS, path.read_text()).tolist()
    path.write_text(f"{path.read_text()}\n")
    assert masked(PAYERS).tolist() == first.tolist()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"Cannot read or create the key for pseudonyms in .*capsule.mask-key \(.*mask_pay"),
        (b"\xff\xfe", r"mask-key \(it is not text\)\. Fix or remove the file, or pass a secret"),
        (b" \n", r"mask-key is blank\. Remove the file; a new key is created\."),
    ],
)
def test_masking_without_a_usable_key_says_what_to_do(tmp_path, content, message):
    home = tmp_path / "capsule"
    if content is None:
        home.touch()
    else:
        home.mkdir()
        (home / "mask-key").write_bytes(content)
    with pytest.raises(UserError, match=message):
        masked(PAYERS)
    assert masked(PAYERS, "a long secret")[0] == "payer-0ec79c2fe6260e61"
    if content:
        (home / "mask-key").unlink()
        assert masked(PAYERS)[0].startswith("payer-")
