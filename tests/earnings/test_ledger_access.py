"""The ledger, masked payers and roles of ``payments.capsule``."""

import stat

from service_payments import THREE, frame


def test_masked_payers_are_stable_and_keep_counts(tmp_path):
    rows = [*THREE, THREE[0] | {"payment_id": "again"}]
    first, second = (frame(*rows).capsule.ledger(mask_payers=True) for _ in range(2))
    assert first.equals(second)
    plain = frame(*rows).capsule.ledger()
    assert first["payer"].str.fullmatch("payer-[0-9a-f]{16}").sum() == 3
    assert first["payer"].isna().equals(plain["payer"].isna())
    assert first.groupby("payer").size().tolist().count(2) == 1
    assert first.drop(columns="payer").equals(plain.drop(columns="payer"))
    key = tmp_path / "capsule" / "mask-key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    key.unlink()
    assert not frame(*rows).capsule.ledger(mask_payers=True).equals(first)


def test_masking_with_a_secret_stores_no_key(tmp_path):
    ledger = frame(*THREE).capsule.ledger(mask_payers="a long secret")
    assert ledger["payer"][0] == "payer-0ec79c2fe6260e61"
    assert frame(*THREE).capsule.ledger(mask_payers="another")["payer"][0] != ledger["payer"][0]
    assert not (tmp_path / "capsule").exists()
