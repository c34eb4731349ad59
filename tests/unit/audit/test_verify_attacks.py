"""No attack on a package goes unseen, and each is answered with the exit code that it deserves."""

from __future__ import annotations

import random
from functools import cache

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from service.audit.package import verify
from service.ledger.note import Checkpoint, checkpoint_text, sign_line, vkey_of
from tests.made_packages import (
    MadeLog,
    checked,
    export_of,
    handed_over,
    made_log,
    made_package,
    members_of,
    packed,
    tree_of,
    with_manifest,
)
from tests.package_attacks import AFTER, BY_THE_EXPORTER, Case, case


@cache
def genuine() -> Case:
    return case()


def test_the_genuine_package_is_proven() -> None:
    """What the attacks are made from is proven itself."""
    one = genuine()
    code, report = checked(packed(one.members), one.log.vkey)
    assert code == 0, report


@pytest.mark.parametrize("name", AFTER)
def test_a_package_changed_after_it_was_signed(name: str) -> None:
    """Whatever is changed behind the signature is found."""
    attack, expected = AFTER[name]
    code, report = checked(attack(genuine()), genuine().log.vkey)
    assert code == expected, report


@pytest.mark.parametrize("name", BY_THE_EXPORTER)
def test_an_exporter_who_lies(name: str) -> None:
    """Whoever has the database and any manifest signed cannot leave out or change an entry."""
    attack, expected = BY_THE_EXPORTER[name]
    code, report = checked(attack(genuine()), genuine().log.vkey)
    assert code == expected, report


def test_a_checkpoint_that_was_kept() -> None:
    """An earlier checkpoint ties the package to the log it was taken from, or tells them apart."""
    log = made_log(random.Random(1), 40)
    package = made_package(log, 10, 30, earlier=(5, 20))
    other = made_log(random.Random(2), 40, key=log.key)
    for size, code in ((0, 0), (5, 0), (20, 0), (40, 0), (10, 0), (19, 0), (9, 4), (31, 4)):
        assert checked(package, log.vkey, log.checkpoint(size))[0] == code, size
    for size in (5, 10, 19, 20, 40):
        code, report = checked(package, log.vkey, other.checkpoint(size))
        assert code == 2, report
        assert "fork" in report
    stranger = made_log(random.Random(1), 40)
    assert checked(package, log.vkey, stranger.checkpoint(20))[0] == 5
    grown = made_log(random.Random(3), 60, key=log.key)
    assert checked(package, log.vkey, grown.checkpoint(60))[0] == 4


def test_a_writer_with_a_hole() -> None:
    """A number that is missing between two entries of a writer is a gap."""
    log = made_log(random.Random(4), 12)
    del log.rows[4], log.secrets[4]
    code, report = checked(made_package(log, 0, 11), log.vkey)
    assert code == 3, report
    assert "hole" in report


def test_keys_that_were_handed_over() -> None:
    """The first key leads to the last one through signed statements, and through nothing else."""
    first = made_log(random.Random(5), 10)
    key = Ed25519PrivateKey.generate()
    after = MadeLog(first.name, first.origin, key, first.rows, first.secrets)
    link = handed_over(first, key, first.origin)
    package = made_package(after, 0, 10, key_chain=[link])
    assert checked(package, first.vkey)[0] == 0
    assert checked(package, after.vkey)[0] == 0
    assert checked(package, first.vkey, first.checkpoint(10))[0] == 0
    assert checked(made_package(after, 0, 10), first.vkey)[0] == 5
    thief = Ed25519PrivateKey.generate()
    stolen = MadeLog(first.name, first.origin, thief, first.rows, first.secrets)
    forged = handed_over(stolen, thief, first.origin)
    assert checked(made_package(stolen, 0, 10, key_chain=[forged]), first.vkey)[0] == 5


def test_a_log_that_went_on_after_a_loss() -> None:
    """A checkpoint under the earlier name that the log does not contain any more is a gap."""
    before = made_log(random.Random(6), 20)
    key = Ed25519PrivateKey.generate()
    kept = MadeLog(before.name, "shop/2", key, before.rows[:15], before.secrets[:15])
    more = made_log(random.Random(7), 10)
    kept.rows += more.rows
    kept.secrets += more.secrets
    link = handed_over(before, key, "shop/2")
    package = made_package(kept, 0, 25, key_chain=[link], earlier=(10, 18))
    assert checked(package, before.vkey, before.checkpoint(10))[0] == 0
    code, report = checked(package, before.vkey, before.checkpoint(18))
    assert code == 3, report
    assert "lost" in report


def test_witnesses() -> None:
    """A cosignature is told with its time, a missing one is a lack, a false one invalid."""
    log = made_log(random.Random(8), 9)
    witness, other = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    vkeys = [vkey_of("w.example", key.public_key().public_bytes_raw()) for key in (witness, other)]
    text = checkpoint_text(Checkpoint("shop", 9, _root(log)))
    good = log.checkpoint() + sign_line(witness, "w.example", text, 1_790_000_000)
    package = made_package(log, 0, 9, checkpoint=good)
    code, report = checked(package, log.vkey, witnesses=vkeys[:1])
    assert (code, "witness w.example: 2026-09-21" in report) == (0, True), report
    assert checked(made_package(log, 0, 9), log.vkey, witnesses=vkeys[:1])[0] == 4
    bad = log.checkpoint() + sign_line(witness, "w.example", text + "x\n", 1_790_000_000)
    assert checked(made_package(log, 0, 9, checkpoint=bad), log.vkey, witnesses=vkeys[:1])[0] == 2


def test_clean_packages_raise_no_alarm() -> None:
    """Every range of logs of every shape is proven."""
    chance = random.Random(9)
    for number in range(100):
        log = made_log(chance, chance.randint(0, 20))
        size = len(log.rows)
        first = chance.randint(0, size)
        last = chance.randint(first, size)
        more = {
            "blocks": chance.sample(verify.BLOCKS, chance.randint(0, 3)),
            "filter": chance.choice((None, [], ["decision"], ["event", "rules.push"])),
            "earlier": sorted(chance.sample(range(size + 1), min(size, 3))),
        }
        since = log.checkpoint(chance.choice(more["earlier"] or [0]))
        code, report = checked(made_package(log, first, last, **more), log.vkey, since)
        assert code == 0, (number, first, last, more, report)


def test_what_the_exporter_withholds_is_told() -> None:
    """Reasons are counted by block, whatever they are."""
    log = made_log(random.Random(10), 12)
    export = export_of(log, 0, 12, blocks=["core", "subject"])
    members = members_of(
        log,
        export,
        lambda idx, block: "erased" if (idx, block) == (_person(log), "subject") else None,
    )
    code, report = checked(packed(with_manifest(log, members, export)), log.vkey)
    assert code == 0, report
    assert "withheld subject (erased): 1 blocks" in report


def _person(log: MadeLog) -> int:
    return next(idx for idx, row in enumerate(log.rows) if row.subject is not None)


def _root(log: MadeLog) -> bytes:
    return tree_of(log.leaves()).root()


def test_a_log_begins_with_the_first_number_of_its_writers() -> None:
    """Whoever exports from the beginning cannot say that writers had numbers before."""
    log = made_log(random.Random(11), 12)
    first = log.rows[0].writer
    del log.rows[0], log.secrets[0]
    assert checked(made_package(log, 0, 11), log.vkey)[0] == 3
    lied = made_package(log, 0, 11, writers={first.hex(): 1})
    assert checked(lied, log.vkey)[0] == 2
