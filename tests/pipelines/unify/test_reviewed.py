"""A person's review: read strictly, every fault one line that names the file, the line and the mend."""

from __future__ import annotations

import pytest

from pipelines.unify.reviewed import parse_review, read_review, review_digest
from schemas.errors import UserError

DOG, RAIN, CHIRP = "/m/0bt9lr", "/m/06mb1", "/m/07pggtn"


def reviewed(text: str) -> dict:
    return dict(parse_review(text.encode(), "r.csv"))


def test_classes_are_names_or_ids_the_main_one_first_and_no_sound_is_none():
    text = 'dataset,name,classes,clips\nd,koira,Dog,4\nd,"a, b","Chirp, tweet; /m/06mb1",3\nd,kaunis,No sound,2\nd,later,,1\n'
    assert reviewed(text) == {("d", "koira"): (DOG,), ("d", "a, b"): (CHIRP, RAIN), ("d", "kaunis"): ()}


def test_a_spreadsheets_byte_order_mark_and_line_ends_change_nothing():
    assert reviewed("\ufeffname,dataset,classes\r\nkoira,d,Dog\r\n") == {("d", "koira"): (DOG,)}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("dataset;name;classes\n", "r.csv has no column 'dataset'; it needs dataset, name, classes"),
        ("dataset,name,classes\nd,x,Dogg\n", "r.csv, line 2: 'Dogg' is no class of the ontology; did you mean 'Dog'?"),
        ("dataset,name,classes\nd,x,qwertyuiop\n", "write a class's name or id, or 'no sound'"),
        ("dataset,name,classes\nd,x,Dog\nd,x,Cat\n", "r.csv, line 3: 'x' of d stands twice; keep one of them"),
        ("dataset,name,classes\nd,x\n", "r.csv, line 2: has fewer columns than the header"),
        ("dataset,name,classes\nd,x,;\n", "r.csv, line 2: names no class"),
        ('dataset,name,classes\nd,x,"Dog\n', "is not CSV"),
        ("", "r.csv has no column 'dataset'"),
        ("dataset,name,classes,classes\nd,x,Dog,Cat\n", "r.csv has two columns 'classes'"),
        (
            "dataset,name,classes\nd,x,Dog,Rain\n",
            "line 2: has more columns than the header; write several classes with semicolons",
        ),
        ("dataset,name,classes\n,x,Dog\n", "line 2: 'x' is of no dataset; name the dataset"),
    ],
)
def test_a_fault_is_one_line_that_says_where_and_what(text, words):
    with pytest.raises(UserError) as fault:
        reviewed(text)
    assert words in str(fault.value)
    assert str(fault.value).startswith("unify.review: r.csv")
    assert "\n" not in str(fault.value)


def test_a_file_that_is_not_utf8_says_so():
    with pytest.raises(UserError, match="r.csv is not UTF-8"):
        parse_review(b"dataset,name,classes\nd,\xe4,Dog\n", "r.csv")


def test_no_file_decides_nothing_and_a_missing_one_is_the_users_mistake(tmp_path):
    assert (read_review(None, str(tmp_path)), review_digest(None, str(tmp_path))) == ({}, "")
    with pytest.raises(UserError, match=r"unify.review: r.csv cannot be read .*data.root"):
        read_review("r.csv", str(tmp_path))


def test_the_digest_is_of_the_files_bytes(tmp_path):
    (tmp_path / "r.csv").write_text("dataset,name,classes\nd,x,Dog\n")
    before = review_digest("r.csv", str(tmp_path))
    (tmp_path / "r.csv").write_text("dataset,name,classes\nd,x,Cat\n")
    assert len(before) == 64
    assert before != review_digest("r.csv", str(tmp_path))
