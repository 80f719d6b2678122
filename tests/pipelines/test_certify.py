"""A certificate measures anew what was promised of mixtures: it is clean where they keep it, and says by how many they do not."""

from __future__ import annotations

import argparse
import errno
import json
import os

import pyarrow.parquet as pq
import pytest
from mixture_runs import BARK, DOG, RAIN, SPEECH, Mixture, mixture_run, source
from publish_runs import sealed

from pipelines.certify import certify, write_certificate
from pipelines.certify_command import add_certify, run_certify
from pipelines.publish.sealed import open_sealed
from schemas.errors import RunStopped, UserError

CLIPS = [source("dog", DOG), source("bark", BARK), source("rain", RAIN), source("talk", SPEECH)]


def broken(certificate: dict) -> dict[str, int]:
    """Return the promises that are broken, and by how many."""
    return {each["promise"]: each["broken"] for each in certificate["promises"] if not each["holds"]}


def mixed(name: str = "mix-1", targets=("dog",), interferers=("rain",), gains=(0.5, 0.7), **more) -> Mixture:
    """Return a mixture that keeps every promise, but for ``more``."""
    return Mixture(name, targets, interferers, gains, **more)


def test_mixtures_that_keep_their_promises_have_a_clean_certificate(tmp_path):
    certificate = certify(
        mixture_run(tmp_path, CLIPS, mixed(), mixed("mix-2", ("bark",), ("talk", "rain"), (0.3, 0.4, 0.2)))
    )
    assert broken(certificate) == {}
    assert certificate["collision_rate"]["labels"] == {
        "pairs": 4,
        "equal": 0,
        "equal_or_related": 0,
        "equal_share": 0.0,
        "equal_or_related_share": 0.0,
    }
    assert certificate["sets"] == [
        {"set": "mix", "split": "train", "policy": "disjoint", "mixtures": 2, "clips": 2, "sources": 5}
    ]
    assert certificate["sums"]["by"] == {"made again from the clips": 2}
    assert (certificate["sums"]["largest_error"], certificate["sums"]["largest_target_error"]) == (0, 0)


def test_equal_classes_and_classes_above_are_counted_apart(tmp_path):
    clips = [*CLIPS, source("dog2", DOG)]
    run = mixture_run(
        tmp_path,
        clips,
        mixed(),
        mixed("mix-2", ("dog",), ("dog2",)),
        mixed("mix-3", ("dog",), ("bark",)),
        mixed("mix-4", ("bark",), ("dog2",)),
    )
    certificate = certify(run)
    rate = certificate["collision_rate"]["labels"]
    assert (rate["pairs"], rate["equal"], rate["equal_or_related"]) == (4, 1, 3)
    assert rate["equal_or_related_share"] == 0.75
    assert broken(certificate) == {
        "no two sources share a label, or one above or below": 3,
        "nor any class that counts as present": 3,
    }


def test_a_class_that_is_heard_though_unlabelled_collides_too_and_is_counted_as_a_veto(tmp_path):
    clips = [source("dog", DOG), source("rain", RAIN, heard_class_ids=[BARK], said_class_ids=[SPEECH])]
    certificate = certify(mixture_run(tmp_path, clips, mixed()))
    assert broken(certificate) == {"nor any class that counts as present": 1}
    vetoes = certificate["vetoes"]
    assert (vetoes["clips_with_heard"], vetoes["classes_heard"], vetoes["classes_said"]) == (1, 1, 1)


def test_mixtures_of_one_class_on_purpose_break_no_promise_but_are_counted(tmp_path):
    run = mixture_run(tmp_path, CLIPS, mixed(), mixed("mix-2", ("dog",), ("bark",), policy="same_class"))
    certificate = certify(run)
    assert broken(certificate) == {}
    assert [(row["policy"], row["equal_or_related"]) for row in certificate["collisions"]["labels"]] == [
        ("disjoint", 0),
        ("same_class", 1),
    ]


def test_what_is_asked_for_in_vain_must_not_be_there(tmp_path):
    absent = mixed("mix-1", (), ("rain", "talk"), policy="zero_target", in_vain=(DOG,))
    there = mixed("mix-2", (), ("rain", "bark"), policy="zero_target", in_vain=(DOG,))
    certificate = certify(mixture_run(tmp_path, CLIPS, absent, there))
    assert broken(certificate) == {"what is asked for in vain is not there": 1}
    assert certificate["sums"]["largest_target_error"] == 0


def test_leaks_are_told_one_by_one(tmp_path):
    clips = [
        source("dog", DOG),
        source("rain", RAIN, attribution="maker of dog"),
        source("talk", SPEECH, split="test"),
        source("bark", BARK, group_id="fs:rain"),
        source("held", SPEECH, withheld="leaks_into_test"),
    ]
    run = mixture_run(
        tmp_path,
        clips,
        mixed("mix-1", ("dog",), ("rain",)),  # one uploader
        mixed("mix-2", ("dog",), ("talk",)),  # of another split
        mixed("mix-3", ("bark",), ("rain",)),  # one group
        mixed("mix-4", ("dog",), ("held",)),
        mixed("mix-5", ("dog",), ("rain",), split="val"),
    )
    found = broken(certify(run))
    assert found["every source is of its mixture's split"] == 1 + 2
    assert found["no source is withheld"] == 1
    assert found["no two sources of a mixture are of one group"] == 1
    assert found["no two sources of a mixture are of one uploader"] == 2
    assert found["no group stands in two splits"] == 2
    assert found["no recording stands in two splits"] == 2


def test_a_source_without_a_class_is_unknown_and_no_source_that_collides_with_nothing(tmp_path):
    clips = [source("dog", DOG), source("rain", state="inferred")]
    certificate = certify(mixture_run(tmp_path, clips, mixed()))
    assert broken(certificate) == {"every source has a known class": 1}
    assert certificate["unknown"]["sources_inferred"] == 1


@pytest.mark.parametrize("shard", ["target", "stems", "residual", "recipe"])
def test_the_sum_is_proved_whatever_a_sample_holds(tmp_path, shard):
    rir = "hall.wav" if shard == "residual" else None
    run = mixture_run(
        tmp_path,
        CLIPS,
        mixed(shard=shard, rir=rir),
        mixed("mix-2", ("bark",), ("rain", "talk"), (0.3, 0.3, 0.2), shard=shard, rir=rir),
    )
    sums = certify(run)["sums"]
    how = {
        "target": "made again from the clips",
        "stems": "stems in the shard",
        "residual": "target and residual",
        "recipe": "mixed by the reader",
    }[shard]
    assert (sums["samples"], sums["by"], sums["largest_error"], sums["wrong"]) == (2, {how: 2}, 0, 0)


@pytest.mark.parametrize("shard", ["target", "stems", "residual"])
def test_one_sample_that_is_off_by_three_is_found(tmp_path, shard):
    rir = "hall.wav" if shard == "residual" else None
    sums = certify(mixture_run(tmp_path, CLIPS, mixed(), mixed("mix-2", shard=shard, off_by=3, rir=rir)))["sums"]
    assert (sums["largest_error"], sums["largest_target_error"], sums["wrong"]) == (3, 0, 1)


def test_a_sample_whose_rooms_are_not_here_is_said_not_to_be_proved(tmp_path):
    sums = certify(mixture_run(tmp_path, CLIPS, mixed(rir="hall.wav")))["sums"]
    assert sums["by"] == {"not proved": 1}


def test_a_stated_sample_is_always_the_same(tmp_path):
    run = mixture_run(tmp_path, CLIPS, *(mixed(f"mix-{number}", off_by=number) for number in range(5)))
    assert [certify(run, sample)["sums"]["largest_error"] for sample in (1, 2, None)] == [0, 1, 4]
    assert certify(run, 2) == certify(run, 2)


def test_levels_are_compared_with_what_was_asked_and_with_the_law(tmp_path):
    asked = [-15.0 + 3.0 * number for number in range(11)]
    run = mixture_run(tmp_path, CLIPS, *(mixed(f"mix-{n:02}", asked=snr) for n, snr in enumerate(asked)))
    certificate = certify(run)
    levels = certificate["levels"][0]
    assert (levels["asked_least_db"], levels["asked_most_db"], levels["with_snr"]) == (-15.0, 15.0, 11)
    assert levels["achieved_least_db"] == -14.999
    # Eleven points at 0, 0.1 ... 1 against the uniform law: the steps of 1/11 leave it by 1/11 at most, at both ends.
    assert certificate["drawn"] == [{"set": "mix", "distance": round(1 / 11, 6)}]


def test_it_is_written_beside_the_run_and_sealed(tmp_path):
    run = mixture_run(tmp_path, CLIPS, mixed())
    certificate = write_certificate(run)
    written = json.loads(run.read("certificate/certificate.json"))
    assert written == json.loads(json.dumps(certificate))
    assert written["run"]["content"] == open_sealed(run).content("mixtures")
    assert json.loads(run.read("certificate/seal.json"))["of"] == run.sha256("seal.json")


def command(run, *arguments: str) -> str:
    """Run the command as the command line does."""
    parser = argparse.ArgumentParser()
    add_certify(parser.add_subparsers(dest="command"))
    return run_certify(run, parser.parse_args(["certify", run.root, *arguments]))


def test_the_command_says_what_was_measured(tmp_path):
    run = mixture_run(tmp_path, CLIPS, mixed())
    told = command(run, "--all")
    assert "1 mixtures, every promise holds" in told
    assert "0 equal, 0 with classes above and below, of 1 pairs" in told
    assert json.loads(command(run, "--json"))["sums"]["samples"] == 1


def test_the_command_says_of_a_sets_levels_what_there_is_of_them(tmp_path):
    run = mixture_run(
        tmp_path,
        CLIPS,
        mixed("mix-1", set="plain"),
        mixed("mix-2", (), ("dog", "rain"), set="vain", policy="zero_target", in_vain=(SPEECH,)),
        mixed("mix-3", set="ratios", asked=None),
    )
    told = command(run).splitlines()
    assert "  plain: 1 mixtures, SNR asked 0.00 to 0.00 dB, achieved 0.00 to 0.00 dB; 0 turned down" in told
    assert "  vain: 1 mixtures, SNR asked 0.00 to 0.00 dB; 0 turned down" in told
    assert "  ratios: 1 mixtures; 0 turned down" in told


def test_a_broken_promise_ends_the_command_with_its_count_and_the_certificate_is_there(tmp_path):
    run = mixture_run(tmp_path, CLIPS, mixed("mix-1", ("dog",), ("bark",)))
    with pytest.raises(RunStopped, match="no two sources share a label, or one above or below: 1 break it"):
        command(run)
    assert run.exists("certificate/certificate.json")


def test_sound_that_was_altered_is_one_line_that_says_who_knows_more(tmp_path):
    run = mixture_run(tmp_path, CLIPS, mixed(shard="stems"))
    for tar in (tmp_path / "run" / "shards").rglob("*.tar"):
        tar.write_bytes(tar.read_bytes().replace(b"fLaC", b"xxxx"))
    with pytest.raises(RunStopped, match="was altered and cannot be read; `earloom verify` says where"):
        certify(run)


@pytest.mark.parametrize("data", [b"", bytes(10240), b"no tar at all " * 800])
def test_a_tar_that_was_altered_or_is_gone_is_one_line(tmp_path, data):
    run = mixture_run(tmp_path, CLIPS, mixed(shard="stems"))
    tar = next((tmp_path / "run" / "shards").rglob("*.tar"))
    whole = tar.stat().st_size
    tar.write_bytes((data * (whole // len(data) + 1))[:whole] if data else data)
    with pytest.raises(RunStopped, match=r"is shorter than it was|was altered and cannot be read") as stopped:
        certify(run)
    assert "\n" not in str(stopped.value)
    tar.unlink()
    with pytest.raises(RunStopped, match=r"\.tar: is missing; run the same recipe into that folder again$"):
        certify(run)


def test_tables_that_lack_a_row_are_not_certified(tmp_path):
    run = mixture_run(tmp_path, CLIPS, mixed(), mixed("mix-2"))
    table = next((tmp_path / "run").glob("*/groups-*/p00000.parquet"))
    pq.write_table(pq.read_table(table).slice(0, 1), table)
    with pytest.raises(RunStopped, match=r"groups-\w+/p00000\.parquet: was altered; `earloom verify .*` says more"):
        certify(run)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS])
def test_a_disk_that_is_full_or_read_only_is_one_line_and_nothing_half_written_stays(tmp_path, monkeypatch, code):
    run = mixture_run(tmp_path, CLIPS, mixed())

    def fail(file: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(RunStopped, match=f"certificate: {os.strerror(code)}; mend it and run the same command again"):
        command(run)
    assert run.sizes("certificate") == {}
    monkeypatch.undo()
    assert "every promise holds" in command(run)


def test_a_run_without_mixtures_and_a_folder_without_a_run_are_one_line(tmp_path):
    with pytest.raises(UserError, match="holds no mixtures"):
        certify(mixture_run(tmp_path, CLIPS))
    with pytest.raises(UserError, match="must be at least 1"):
        command(mixture_run(tmp_path / "other", CLIPS, mixed()), "--sample", "0")
    with pytest.raises(UserError, match="holds no run"):
        certify(type(sealed(tmp_path / "third"))(str(tmp_path / "nothing")))
